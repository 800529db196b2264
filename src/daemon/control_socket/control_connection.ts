import type { Clock } from "../../platform/clock.ts";
import { closeQuietly } from "../../platform/unix_socket.ts";
import { SocketChannel } from "./control_channel.ts";

/** How long a client may take to send its request, to take its reply, and to close its end. */
const CLIENT_TIMEOUT_MS = 5_000;

/**
 * One accepted connection, which owns its socket. It counts in one of its server's sets until it is closed, and can be ended at
 * any time, whatever is using it. {@linkcode ControlConnection.withinTimeout} disconnects a client that connects and sends
 * nothing, or that does not take its reply.
 */
export class ControlConnection {
  readonly conn: Deno.UnixConn;
  readonly #clock: Clock;
  readonly #ended = Promise.withResolvers<never>();
  #countedIn: Set<ControlConnection>;
  #channel: SocketChannel | undefined;
  #endReason: Error | undefined;

  constructor(
    conn: Deno.UnixConn,
    { countedIn, clock }: { countedIn: Set<ControlConnection>; clock: Clock },
  ) {
    this.conn = conn;
    this.#clock = clock;
    this.#countedIn = countedIn;
    countedIn.add(this);
  }

  get hasEnded(): boolean {
    return this.#endReason !== undefined;
  }

  /** Runs `work` until it settles or {@linkcode end} is called; then closes the connection. */
  async use(work: () => Promise<void>): Promise<void> {
    try {
      // A race, because in Deno 2.4 closing does not end a pending write: that lasts until the peer reads or dies.
      await Promise.race([work(), this.#ended.promise]);
    } finally {
      closeQuietly(this.conn);
      this.#countedIn.delete(this);
    }
  }

  /** Counts the connection in another set from now on. */
  countIn(connections: Set<ControlConnection>): void {
    this.#countedIn.delete(this);
    this.#countedIn = connections;
    connections.add(this);
  }

  /** Opens the channel for what follows the reply line. It ends with the connection. */
  openChannel(rest: Uint8Array): SocketChannel {
    this.#channel = new SocketChannel(this.conn, rest);
    if (this.#endReason !== undefined) this.#channel.end(this.#endReason);
    return this.#channel;
  }

  /** Closes the connection, and ends its channel. Can be called repeatedly. */
  end(reason: Error): void {
    this.#endReason ??= reason;
    this.#channel?.end(this.#endReason);
    closeQuietly(this.conn);
    this.#ended.reject(this.#endReason);
  }

  /** Ends the connection if the client takes longer than 5 s for its part of `work`. */
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
