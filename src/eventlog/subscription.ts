/**
 * One subscriber: a feed, which supplies the bytes, a connection, and the pump that writes from one to the other.
 *
 * A subscription is `idle` (it has caught up, and waits in the log's list or in the `WakeScheduler` to be woken), `busy` (its
 * pump runs: a write is in flight) or `closed`. It has no queue: each write takes from the feed everything that was published
 * during the last write, up to 64 KiB.
 *
 * The subscription owns its connection from the start, and closes it once, whatever the reason.
 */
import { setImmediate } from "node:timers";
import { settlesWithin } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";

/** A larger write gains nothing, and a stalled one would keep more of the log in memory. */
const MAX_WRITE_BYTES = 64 * 1024;
/**
 * How long a subscriber may take no byte although bytes are pending, and how long it may take for the rest of its last line
 * after the log has left it behind.
 */
const PATIENCE_MS = 30_000;

/** The connection to a subscriber. `write` may write a part of the bytes only, like that of {@linkcode Deno.Conn}. */
export type SubscriberConnection = Pick<Deno.Conn, "write" | "close">;

/**
 * Why a subscription ended. `gone`: the peer closed its connection. `slow`: the log evicted events that it had not read.
 * `stalled`: it read nothing for 30 seconds. `finished`: it got everything, then the log closed it. `closed`: its owner ended
 * it, or its feed failed.
 */
export type CloseReason = "gone" | "slow" | "stalled" | "finished" | "closed";

/** Supplies the bytes for one subscriber: whole lines, as far as they are published. */
export interface Feed {
  /**
   * The next bytes, at most `maxBytes`. Undefined when it has caught up or has ended. Empty when it has not found any yet,
   * and is to be asked again in another turn of the event loop.
   */
  next(maxBytes: number): Uint8Array<ArrayBuffer> | undefined;
  /** Moves past `bytes` of what `next` returned last. */
  advance(bytes: number): void;
  /** Why it has ended, once `next` returns nothing more. */
  readonly end: CloseReason | undefined;
  /** The log has evicted the next lines: only the rest of the current line remains. */
  readonly isLeftBehind: boolean;
  /** Ends as soon as it has returned everything that was appended. */
  finish(): void;
  /** Releases the log: `next` is not called again. */
  release(): void;
}

/** What a subscription reports to the log. */
export interface SubscriptionHost {
  /** It has caught up, and is to be woken when more is published. */
  idle(subscription: Subscription): void;
  closed(subscription: Subscription, reason: CloseReason): void;
  /** The subscription's feed threw `error`; the subscription is closed next. */
  failed(error: unknown): void;
}

export interface SubscribeOptions {
  /** Closed when the subscription ends. */
  readonly connection: SubscriberConnection;
  /** Called once, when the subscription ends for whatever reason. `error` is the error of the write or of the feed. */
  readonly onClose?: ((reason: CloseReason, error?: unknown) => void) | undefined;
  /**
   * Called once, at or after `onClose`, when no write is in flight. In Deno 2.4, closing a connection does not end a write:
   * the descriptor stays in use until the peer reads or exits.
   */
  readonly onReleased?: (() => void) | undefined;
}

export interface SubscriptionOptions extends SubscribeOptions {
  readonly feed: Feed;
  readonly host: SubscriptionHost;
}

/** Created by `EventLog.subscribe` and `EventLog.subscribeResumable`. */
export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #connection: SubscriberConnection;
  readonly #feed: Feed;
  #writing = false;
  #state: "idle" | "busy" | "closed" = "idle";
  /** It waits in the log's list or in the `WakeScheduler`. */
  #isListed = false;
  #finished: PromiseWithResolvers<void> | undefined;
  /** The peer has taken a byte since the last sweep. */
  #progressed = false;
  #quietSinceMs = 0;
  #leftBehindAtMs: number | undefined;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    this.#connection = options.connection;
    this.#feed = options.feed;
  }

  get closed(): boolean {
    return this.#state === "closed";
  }

  /** Ends it now, even within a line. Idempotent. */
  close(reason: CloseReason = "closed"): void {
    this.#close(reason);
  }

  /** Ends it as soon as it has sent everything that was appended. Resolves when it has ended, for whatever reason. */
  finish(): Promise<void> {
    if (this.#state === "closed") return Promise.resolve();
    this.#finished ??= Promise.withResolvers();
    this.#feed.finish();
    this.nudge();
    return this.#finished.promise;
  }

  /** The log has removed it from its list, because more is published. */
  wake(): void {
    this.#isListed = false;
    this.nudge();
  }

  /** Starts the pump if it is idle. */
  nudge(): void {
    if (this.#state !== "idle") return;
    this.#state = "busy";
    this.#progressed = true;
    this.#pump();
  }

  /** Asks the log to wake it. The log calls this once after creating it. */
  list(): void {
    if (this.#isListed) return;
    this.#isListed = true;
    this.#options.host.idle(this);
  }

  /** Ends it when the peer has been too slow. Returns true while it is busy. The log calls this every few seconds. */
  sweep(nowMs: number): boolean {
    if (this.#state !== "busy") return false;
    if (this.#progressed) {
      this.#progressed = false;
      this.#quietSinceMs = nowMs;
    } else if (nowMs - this.#quietSinceMs >= PATIENCE_MS) {
      this.#close("stalled");
      return false;
    }
    if (!this.#feed.isLeftBehind) return true;
    this.#leftBehindAtMs ??= nowMs;
    if (nowMs - this.#leftBehindAtMs < PATIENCE_MS) return true;
    this.#close("slow");
    return false;
  }

  /** Handles every error. A write that is in flight after `close` is ended by the runtime. */
  async #pump(): Promise<void> {
    try {
      await this.#pumpAll();
    } catch (error) {
      // The state of this feed is unknown now. Other subscriptions have feeds of their own.
      this.#options.host.failed(error);
      this.#close("closed", error);
    }
  }

  /** @throws what the feed throws */
  async #pumpAll(): Promise<void> {
    const next = () => this.#feed.next(MAX_WRITE_BYTES);
    for (let bytes = next(); bytes !== undefined; bytes = next()) {
      let written = 0;
      this.#writing = true;
      try {
        if (bytes.length > 0) written = await this.#connection.write(bytes);
        else await new Promise<void>((resolve) => void setImmediate(resolve));
      } catch (error) {
        this.#writing = false;
        // A write fails because the peer closed the connection, or because this subscription did.
        return this.closed ? this.#options.onReleased?.() : this.#close("gone", error);
      }
      this.#writing = false;
      if (this.closed) return this.#options.onReleased?.();
      this.#progressed = true;
      this.#feed.advance(written);
    }
    const { end } = this.#feed;
    if (end !== undefined) return this.#close(end);
    this.#state = "idle";
    this.list();
  }

  #close(reason: CloseReason, error?: unknown): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    // A write that never ends must not keep a part of the log in memory.
    this.#feed.release();
    this.#connection.close();
    this.#options.host.closed(this, reason);
    this.#finished?.resolve();
    this.#options.onClose?.(reason, error);
    if (!this.#writing) this.#options.onReleased?.();
  }
}

/** Lets each of `subscriptions` catch up and end. Those that have not ended after `limitMs` are closed. */
export async function finishAll(
  subscriptions: Iterable<Subscription>,
  { clock, limitMs }: { clock: Clock; limitMs: number },
): Promise<void> {
  const ending = [...subscriptions];
  const finished = Promise.all(ending.map((subscription) => subscription.finish()));
  await settlesWithin(finished, { timeoutMs: limitMs, clock });
  for (const subscription of ending) subscription.close();
}
