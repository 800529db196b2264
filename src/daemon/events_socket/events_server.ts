/**
 * `events.socket`: connect, and read a line for each event.
 *
 * The accept loop registers each connection as a subscription at the log's head, in the same turn in which it was
 * accepted and before the next one is. From then on the subscription owns the connection (writing, slowness, closing);
 * the server only reads and discards what the client sends, to learn of its hang-up, and to recognise the connections
 * of its own {@linkcode AcceptBarrier}. At disposal: no more accepts, subscribers drain, all are closed.
 */
import type { EventLog } from "../../eventlog/event_log.ts";
import { type CloseReason, finishAll, type Subscription } from "../../eventlog/subscription.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { acceptLoop } from "../../platform/unix_socket.ts";
import { AcceptBarrier, BARRIER_TOKEN_BYTES } from "./accept_barrier.ts";
import { HalfClosed } from "./half_closed.ts";

const MAX_SUBSCRIBERS = 16_384;
/** How long disposal lets subscribers take what is theirs. */
const DRAIN_LIMIT_MS = 2_000;
const DISCARD_BYTES = 4_096;

export interface EventsServerOptions {
  /** Listening already on `events.socket`; the server closes it (which unlinks its path, in newer Deno). */
  readonly listener: Deno.UnixListener;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Beyond this many a new connection is closed at once. 16,384 by default. */
  readonly maxSubscribers?: number;
}

export interface EventsServerStats {
  readonly subscribers: number;
  /** Of these, how many will send nothing any more, or have hung up just now. */
  readonly halfClosed: number;
  /** Connections closed at once because there were `maxSubscribers`, since the start. */
  readonly refused: number;
}

/** Serves bare lines to whoever connects, from its construction on. */
export class EventsServer implements AsyncDisposable {
  readonly #listener: Deno.UnixListener;
  readonly #log: EventLog;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxSubscribers: number;
  readonly #barrier: AcceptBarrier;
  readonly #subscriptions = new Set<Subscription>();
  /** The tasks that read what clients send; each ends with its input, or soon after its subscription. */
  readonly #readers = new Map<Subscription, Promise<void>>();
  readonly #halfClosed: HalfClosed;
  /** Connections whose descriptors are in use: subscribers, and those that were dropped with a write in flight. */
  #open = 0;
  /** Shared by all readers: nobody looks at what is in it. */
  readonly #discarded = new Uint8Array(DISCARD_BYTES);
  #refused = 0;
  /** The last connection was refused: said once, not for each. */
  #refusing = false;
  readonly #accepting: Promise<void>;
  #disposal: Promise<void> | undefined;

  constructor(options: EventsServerOptions) {
    this.#listener = options.listener;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#maxSubscribers = options.maxSubscribers ?? MAX_SUBSCRIBERS;
    this.#halfClosed = new HalfClosed(options.clock);
    this.#barrier = new AcceptBarrier({ ...options, socketPath: options.listener.addr.path });
    this.#accepting = acceptLoop({ ...options, onConnection: (connection) => this.#register(connection) });
  }

  stats(): EventsServerStats {
    return {
      subscribers: this.#subscriptions.size,
      halfClosed: this.#halfClosed.size,
      refused: this.#refused,
    };
  }

  /**
   * Resolves when every connection made before the call is registered: it gets whatever is appended from then on.
   * Bounded in time (two seconds, then the log says so); never rejects. 0.05 ms when nobody else connects.
   */
  barrier(): Promise<void> {
    return this.#disposal === undefined ? this.#barrier.pass() : Promise.resolve();
  }

  /** Stops accepting, lets subscribers take what is pending for two seconds, closes them and the listener. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  #register(connection: Deno.UnixConn): void {
    if (this.#disposal !== undefined) return connection.close();
    if (this.#open >= this.#maxSubscribers) {
      if (!this.#refusing) {
        this.#logger.warn(`events socket: full, refusing more than ${this.#maxSubscribers}`);
      }
      this.#refusing = true;
      this.#refused++;
      return connection.close();
    }
    this.#refusing = false;
    this.#open++;
    const subscription = this.#log.subscribe({
      connection,
      onClose: (reason) => this.#forget(subscription, reason),
      onReleased: () => this.#open--,
    });
    this.#subscriptions.add(subscription);
    this.#readers.set(subscription, this.#discardInput(connection, subscription));
  }

  #forget(subscription: Subscription, reason: CloseReason): void {
    this.#subscriptions.delete(subscription);
    this.#halfClosed.delete(subscription);
    if (reason === "slow" || reason === "stalled") {
      this.#logger.warn(
        reason === "slow"
          ? "events socket: disconnected a subscriber that was too slow for the log's memory"
          : "events socket: disconnected a subscriber that took nothing for 30 s",
      );
    }
  }

  /** Ends when the client closes its end of writing, or the subscription is over. */
  async #discardInput(connection: Deno.UnixConn, subscription: Subscription): Promise<void> {
    try {
      let buffer = new Uint8Array(BARRIER_TOKEN_BYTES);
      for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
        if (buffer !== this.#discarded && this.#barrier.isToken(buffer.subarray(0, count))) {
          return subscription.close();
        }
        buffer = this.#discarded;
      }
      this.#halfClosed.add(subscription, connection);
    } catch {
      // A read fails because the peer hung up, or because the subscription closed the connection: over in both cases.
      subscription.close("gone");
    } finally {
      this.#readers.delete(subscription);
    }
  }

  async #dispose(): Promise<void> {
    this.#barrier[Symbol.dispose]();
    this.#closeListener();
    await this.#accepting;
    this.#halfClosed[Symbol.dispose]();
    await finishAll(this.#subscriptions, { clock: this.#clock, limitMs: DRAIN_LIMIT_MS });
    await Promise.all(this.#readers.values());
  }

  #closeListener(): void {
    try {
      this.#listener.close();
    } catch (error) {
      // Closed already, by the accept loop's end or by its owner.
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}
