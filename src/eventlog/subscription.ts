/**
 * One subscriber: a feed (what is to be written), a connection, and the pump between them.
 *
 * It is `idle` (caught up: in the log's list of those to wake, or in the wake lanes), `busy` (its pump runs: a write is in
 * flight) or `closed`. There is no queue: the pump takes from the feed what the connection has room for, so a busy
 * subscriber coalesces by itself, and its next write takes all that came meanwhile.
 *
 * The subscription owns its connection from the start: it alone closes it, once, whatever the reason.
 */
import { setImmediate } from "node:timers";
import { settlesWithin } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";

/** More in one write gains nothing, and holds more of the log under a stalled one. */
const MAX_WRITE_BYTES = 64 * 1024;
/** So long may a subscriber take no byte though there is one for it, or take for the line in which it was dropped. */
const PATIENCE_MS = 30_000;

/** What a subscriber is written to through: `write` may take a part only, as {@linkcode Deno.Conn} does. */
export type SubscriberConnection = Pick<Deno.Conn, "write" | "close">;

/**
 * Why a subscription ended. `gone`: the peer hung up. `slow`: the log moved on without it. `stalled`: it took nothing
 * for 30 seconds. `finished`: it got everything, then the log closed it. `closed`: its owner ended it, or
 * its feed failed.
 */
export type CloseReason = "gone" | "slow" | "stalled" | "finished" | "closed";

/** What one subscriber is given: bytes of whole lines, as far as they are published. */
export interface Feed {
  /**
   * The next bytes, at most `maxBytes`. None (undefined) when it has caught up, or is at its end. Empty: it is still looking
   * for some, and wants to go on in another turn of the event loop.
   */
  next(maxBytes: number): Uint8Array<ArrayBuffer> | undefined;
  /** So many of the bytes that `next` gave last were taken. */
  advance(bytes: number): void;
  /** Why it is over, once `next` gives nothing any more. */
  readonly end: CloseReason | undefined;
  /** The log has moved on without it, and it is only at the end of its line. */
  readonly isLeftBehind: boolean;
  /** It is to end as soon as all that was appended is given. */
  finish(): void;
  /** Lets go of the log: nobody will ask again. */
  release(): void;
}

/** What the log wants to hear from its subscriptions. */
export interface SubscriptionHost {
  /** It has caught up, and wants to be woken when there is more. */
  idle(subscription: Subscription): void;
  closed(subscription: Subscription, reason: CloseReason): void;
  /** A subscription's feed threw `error`; that one is closed next. */
  failed(error: unknown): void;
}

export interface SubscriptionOptions {
  readonly connection: SubscriberConnection;
  readonly feed: Feed;
  readonly host: SubscriptionHost;
  /** Called once, when it is over. `error` is what the failed write said, or the feed. */
  readonly onClose?: ((reason: CloseReason, error?: unknown) => void) | undefined;
  /**
   * Called once, at or after `onClose`, when no write is in flight any more. In Deno 2.4 closing does not end a write, and
   * the descriptor stays in use until the peer reads or dies.
   */
  readonly onReleased?: (() => void) | undefined;
}

/** Made by `EventLog.subscribe` and `EventLog.subscribeExtended`. */
export class Subscription {
  readonly #connection: SubscriberConnection;
  readonly #feed: Feed;
  readonly #host: SubscriptionHost;
  readonly #onClose: ((reason: CloseReason, error?: unknown) => void) | undefined;
  readonly #onReleased: (() => void) | undefined;
  #writing = false;
  #state: "idle" | "busy" | "closed" = "idle";
  /** The log has it on its list of those to wake, or in the lanes. */
  #isListed = false;
  #finished: PromiseWithResolvers<void> | undefined;
  /** A byte was taken since the last sweep. */
  #progressed = false;
  #quietSinceMs = 0;
  #leftBehindAtMs: number | undefined;

  constructor(options: SubscriptionOptions) {
    this.#connection = options.connection;
    this.#feed = options.feed;
    this.#host = options.host;
    this.#onClose = options.onClose;
    this.#onReleased = options.onReleased;
  }

  get closed(): boolean {
    return this.#state === "closed";
  }

  /** Ends it at once, mid-line if need be. Does nothing when it is over already. */
  close(reason: CloseReason = "closed"): void {
    this.#close(reason);
  }

  /** Ends it as soon as it has all that was appended; resolves when it has ended, however. */
  finish(): Promise<void> {
    if (this.#state === "closed") return Promise.resolve();
    this.#finished ??= Promise.withResolvers();
    this.#feed.finish();
    this.nudge();
    return this.#finished.promise;
  }

  /** The log calls this when it has taken it from its list: there is more. */
  wake(): void {
    this.#isListed = false;
    this.nudge();
  }

  /** Starts the pump of an idle one. */
  nudge(): void {
    if (this.#state !== "idle") return;
    this.#state = "busy";
    this.#progressed = true;
    this.#pump();
  }

  /** Asks the log to wake it. Its maker calls this once; then it does so itself. */
  list(): void {
    if (this.#isListed) return;
    this.#isListed = true;
    this.#host.idle(this);
  }

  /** Ends one that has lost patience; true while it has something in flight. The log calls this now and then. */
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

  /** Settles every error itself; what remains in flight after `close` is the runtime's to end. */
  async #pump(): Promise<void> {
    try {
      await this.#pumpAll();
    } catch (error) {
      // Nothing of the feed can be relied on any more, and the others have feeds of their own.
      this.#host.failed(error);
      this.#close("closed", error);
    }
  }

  /** @throws what the feed does */
  async #pumpAll(): Promise<void> {
    for (let bytes = this.#next(); bytes !== undefined; bytes = this.#next()) {
      let written = 0;
      this.#writing = true;
      try {
        if (bytes.length > 0) written = await this.#connection.write(bytes);
        else await new Promise<void>((resolve) => void setImmediate(resolve));
      } catch (error) {
        this.#writing = false;
        // However a write fails, that subscriber is gone; after our own close it fails because of that.
        return this.closed ? this.#onReleased?.() : this.#close("gone", error);
      }
      this.#writing = false;
      if (this.closed) return this.#onReleased?.();
      this.#progressed = true;
      this.#feed.advance(written);
    }
    const { end } = this.#feed;
    if (end !== undefined) return this.#close(end);
    this.#state = "idle";
    this.list();
  }

  #next(): Uint8Array<ArrayBuffer> | undefined {
    return this.#feed.next(MAX_WRITE_BYTES);
  }

  #close(reason: CloseReason, error?: unknown): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    // A write that never ends must not hold a part of the log.
    this.#feed.release();
    this.#connection.close();
    this.#host.closed(this, reason);
    this.#finished?.resolve();
    this.#onClose?.(reason, error);
    if (!this.#writing) this.#onReleased?.();
  }
}

/** Lets each of `subscriptions` catch up and end; those that have not after `limitMs` are cut. */
export async function finishAll(
  subscriptions: Iterable<Subscription>,
  { clock, limitMs }: { clock: Clock; limitMs: number },
): Promise<void> {
  const ending = [...subscriptions];
  const finished = Promise.all(ending.map((subscription) => subscription.finish()));
  await settlesWithin(finished, { timeoutMs: limitMs, clock });
  for (const subscription of ending) subscription.close();
}
