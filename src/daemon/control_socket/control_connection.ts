import type { Clock } from "../../platform/clock.ts";
import { closeQuietly } from "../../platform/unix_socket.ts";
import { SocketChannel } from "./control_channel.ts";

/** How long a client may take to send its request, to take its reply, and to close its end. */
const CLIENT_TIMEOUT_MS = 5_000;

/**
 * One accepted connection. It is in one of its server's sets, which bound how many there are, until it is closed; whatever
 * is done with it can be cut short.
 */
export class ControlConnection {
  readonly conn: Deno.UnixConn;
  readonly #clock: Clock;
  readonly #ended = Promise.withResolvers<never>();
  #kept: Set<ControlConnection>;
  #channel: SocketChannel | undefined;
  #endReason: Error | undefined;

  constructor(conn: Deno.UnixConn, { keptIn, clock }: { keptIn: Set<ControlConnection>; clock: Clock }) {
    this.conn = conn;
    this.#clock = clock;
    this.#kept = keptIn;
    keptIn.add(this);
  }

  /** Cut short. */
  get hasEnded(): boolean {
    return this.#endReason !== undefined;
  }

  /** Does the work, unless it is cut short; then closes the connection. */
  async use(work: () => Promise<void>): Promise<void> {
    try {
      // Raced, because in Deno 2.4 closing does not end a write that is in flight: that lasts until the peer reads or dies.
      await Promise.race([work(), this.#ended.promise]);
    } finally {
      closeQuietly(this.conn);
      this.#kept.delete(this);
    }
  }

  /** It counts among others from now on. */
  keepIn(kept: Set<ControlConnection>): void {
    this.#kept.delete(this);
    this.#kept = kept;
    kept.add(this);
  }

  /** The channel for what follows the reply line; it ends with the connection. */
  openChannel(rest: Uint8Array): SocketChannel {
    this.#channel = new SocketChannel({ conn: this.conn, rest });
    if (this.#endReason !== undefined) this.#channel.end(this.#endReason);
    return this.#channel;
  }

  /** Cuts short what is done with it. May be called again. */
  end(reason: Error): void {
    this.#endReason ??= reason;
    this.#channel?.end(this.#endReason);
    closeQuietly(this.conn);
    this.#ended.reject(this.#endReason);
  }

  /** Ends it when the client takes too long for its part of `work`. */
  async withinTimeout<T>(work: () => Promise<T>): Promise<T> {
    const cancel = this.#clock.after(
      CLIENT_TIMEOUT_MS,
      () => this.end(new Error("the client took too long")),
    );
    try {
      return await work();
    } finally {
      cancel();
    }
  }
}
