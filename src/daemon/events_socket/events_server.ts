/**
 * Serves `events.socket`: a client connects, and reads one line for each event.
 *
 * - The accept loop registers each connection as a subscription at the head of the log, before it accepts the next one.
 * - From then on the subscription owns the connection. The event log writes to it, and closes a subscriber that falls behind the
 *   log's memory (`slow`) or takes nothing for 30 s (`stalled`): see `src/eventlog/subscription.ts`. The server logs that.
 * - The server reads and discards what the client sends, to notice a hang-up and to recognize the connections of its
 *   {@linkcode AcceptBarrier}.
 * - Disposal stops accepting, lets subscribers take the remaining events, and closes all connections.
 */
import type { EventLog } from "../../eventlog/event_log.ts";
import { type CloseReason, finishAll, type Subscription } from "../../eventlog/subscription.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { acceptLoop, closeQuietly } from "../../platform/unix_socket.ts";
import { AcceptBarrier, BARRIER_TOKEN_BYTES } from "./accept_barrier.ts";
import { HalfClosed } from "./half_closed.ts";

const MAX_SUBSCRIBERS = 16_384;
/** How long disposal waits for subscribers to take the remaining events. */
const DRAIN_LIMIT_MS = 2_000;
const DISCARD_BYTES = 4_096;
const DROP_REASONS: Partial<Record<CloseReason, string>> = {
  slow: "was too slow for the log's memory",
  stalled: "took nothing for 30 s",
};

export interface EventsServerOptions {
  /** Already listening on `events.socket`. The server closes it, which unlinks its path in newer versions of Deno. */
  readonly listener: Deno.UnixListener;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Further connections are closed at once. 16,384 by default. */
  readonly maxSubscribers?: number;
}

export interface EventsServerStats {
  readonly subscribers: number;
  /** The subscribers that have closed their end of writing, or have just hung up. */
  readonly halfClosed: number;
  /** Connections refused because of `maxSubscribers`, since the start. */
  readonly refused: number;
}

/** Serves from its construction on. */
export class EventsServer implements AsyncDisposable {
  readonly #options: EventsServerOptions;
  readonly #barrier: AcceptBarrier;
  readonly #subscriptions = new Set<Subscription>();
  /** The promises of {@linkcode EventsServer.#discardInput}. */
  readonly #readers = new Map<Subscription, Promise<void>>();
  readonly #halfClosed: HalfClosed;
  /** Connections whose descriptors are in use: subscribers, and dropped ones with a pending write. */
  #open = 0;
  /** Shared by all readers, because its content is never used. */
  readonly #discarded = new Uint8Array(DISCARD_BYTES);
  #refused = 0;
  /** The last connection was refused: a row of refusals is logged once. */
  #refusing = false;
  readonly #accepting: Promise<void>;
  #disposal: Promise<void> | undefined;

  constructor(options: EventsServerOptions) {
    this.#options = options;
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
   * Resolves when every connection from before the call is registered, and so receives all later events. Takes 0.05 ms on an idle
   * socket, and two seconds at most, which is logged. Never rejects.
   */
  barrier(): Promise<void> {
    return this.#disposal === undefined ? this.#barrier.pass() : Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  #register(connection: Deno.UnixConn): void {
    if (this.#disposal !== undefined) return connection.close();
    const { log, logger, maxSubscribers = MAX_SUBSCRIBERS } = this.#options;
    if (this.#open >= maxSubscribers) {
      if (!this.#refusing) logger.warn(`events socket: full, refusing more than ${maxSubscribers}`);
      this.#refusing = true;
      this.#refused++;
      return connection.close();
    }
    this.#refusing = false;
    this.#open++;
    const subscription = log.subscribe({
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
    const why = DROP_REASONS[reason];
    if (why !== undefined) this.#options.logger.warn(`events socket: disconnected a subscriber that ${why}`);
  }

  /** Reads until the client closes its end of writing, or the subscription ends. */
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
      // A read fails because the client hung up, or because the subscription closed the connection.
      subscription.close("gone");
    } finally {
      this.#readers.delete(subscription);
    }
  }

  async #dispose(): Promise<void> {
    this.#barrier[Symbol.dispose]();
    // May be closed already, by the end of the accept loop or by its owner.
    closeQuietly(this.#options.listener);
    await this.#accepting;
    this.#halfClosed[Symbol.dispose]();
    await finishAll(this.#subscriptions, { clock: this.#options.clock, limitMs: DRAIN_LIMIT_MS });
    await Promise.all(this.#readers.values());
  }
}
