/**
 * One subscriber: a cursor, a connection, and the pump between them.
 *
 * It is `idle` (caught up: in the log's set of those to wake, or in the wake lanes), `busy` (its pump runs: a write is in
 * flight) or `closed`. The pump writes straight from the log's segments, so a busy subscriber coalesces by
 * itself: its next write takes all that came meanwhile. There is no queue.
 *
 * The subscription owns its connection from the start: it alone closes it, once, whatever the reason.
 */
import type { LogCursor } from "./log_cursor.ts";

/** More in one write gains nothing, and holds more of the log under a stalled one. */
const MAX_WRITE_BYTES = 64 * 1024;
/** So long may a subscriber take no byte though there is one for it, or take for the line in which it was dropped. */
const PATIENCE_MS = 30_000;
const NOTHING = new Uint8Array(0);

/** What a subscriber is written to through: `write` may take a part only, as {@linkcode Deno.Conn} does. */
export type SubscriberConnection = Pick<Deno.Conn, "write" | "close">;

/**
 * Why a subscription ended. `gone`: the peer hung up. `slow`: the log moved on without it. `stalled`: it took nothing
 * for 30 seconds. `finished`: it got everything, then the log closed it. `closed`: its owner ended it.
 */
export type CloseReason = "gone" | "slow" | "stalled" | "finished" | "closed";

/** What the log wants to hear from its subscriptions. */
export interface SubscriptionHost {
  /** It has caught up, and wants to be woken when there is more. */
  idle(subscription: Subscription): void;
  closed(subscription: Subscription, reason: CloseReason): void;
}

export interface SubscriptionOptions {
  readonly connection: SubscriberConnection;
  readonly cursor: LogCursor;
  readonly host: SubscriptionHost;
  /** Called once, when it is over. `error` is what the failed write said. */
  readonly onClose?: ((reason: CloseReason, error?: unknown) => void) | undefined;
  /**
   * Called once, at or after `onClose`, when no write is in flight any more. In Deno 2.4 closing does not end a write, and
   * the descriptor stays in use until the peer reads or dies.
   */
  readonly onReleased?: (() => void) | undefined;
}

/** Made by `EventLog.subscribe`. */
export class Subscription {
  readonly #connection: SubscriberConnection;
  /** Let go when the log's tail has overtaken it; then {@linkcode Subscription.#lastLine} is all that is left. */
  #cursor: LogCursor | undefined;
  readonly #host: SubscriptionHost;
  readonly #onClose: ((reason: CloseReason, error?: unknown) => void) | undefined;
  readonly #onReleased: (() => void) | undefined;
  #writing = false;
  #state: "idle" | "busy" | "closed" = "idle";
  /** What is missing of the line in which it was overtaken. */
  #lastLine: Uint8Array<ArrayBuffer> = NOTHING;
  #finished: PromiseWithResolvers<void> | undefined;
  /** A byte was taken since the last sweep. */
  #progressed = false;
  #quietSinceMs = 0;
  #fellOffAtMs: number | undefined;

  constructor(options: SubscriptionOptions) {
    this.#connection = options.connection;
    this.#cursor = options.cursor;
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
    if (this.#state === "idle" && this.#cursor?.atHead) this.#close("finished");
    return this.#finished.promise;
  }

  /** Starts the pump of an idle one. The log calls this. */
  wake(): void {
    if (this.#state !== "idle") return;
    this.#state = "busy";
    this.#progressed = true;
    this.#pump();
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
    if (this.#cursor !== undefined && !this.#cursor.fellOff) return true;
    this.#fellOffAtMs ??= nowMs;
    if (nowMs - this.#fellOffAtMs < PATIENCE_MS) return true;
    this.#close("slow");
    return false;
  }

  /** Settles every error itself; what remains in flight after `close` is the runtime's to end. */
  async #pump(): Promise<void> {
    for (let bytes = this.#next(); bytes !== undefined; bytes = this.#next()) {
      let written: number;
      this.#writing = true;
      try {
        written = await this.#connection.write(bytes);
      } catch (error) {
        this.#writing = false;
        // However a write fails, that subscriber is gone; after our own close it fails because of that.
        return this.closed ? this.#onReleased?.() : this.#close("gone", error);
      }
      this.#writing = false;
      if (this.closed) return this.#onReleased?.();
      this.#progressed = true;
      if (this.#cursor !== undefined) this.#cursor.advance(written);
      else this.#lastLine = this.#lastLine.subarray(written);
    }
    if (this.#cursor === undefined) return this.#close("slow");
    if (this.#finished !== undefined && this.#cursor.atHead) return this.#close("finished");
    this.#state = "idle";
    this.#host.idle(this);
  }

  /** What to write next: none when it has caught up, or has come to the end of its last line. */
  #next(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#cursor?.fellOff) {
      this.#lastLine = this.#cursor.restOfLine();
      this.#cursor = undefined;
    }
    if (this.#cursor !== undefined) return this.#cursor.peek(MAX_WRITE_BYTES);
    return this.#lastLine.length > 0 ? this.#lastLine : undefined;
  }

  #close(reason: CloseReason, error?: unknown): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    // A write that never ends must not hold a part of the log.
    this.#cursor = undefined;
    this.#connection.close();
    this.#host.closed(this, reason);
    this.#finished?.resolve();
    this.#onClose?.(reason, error);
    if (!this.#writing) this.#onReleased?.();
  }
}
