/**
 * Serves `apex.socket`: one request line a connection, one reply line, then the end. Before each reply it waits until
 * every subscriber that connected earlier is registered, so that "connect to events.socket, ask for the state, then
 * react" has no gap. A client that sends nonsense, or nothing, gets an error or its connection closed, and hurts nobody.
 */
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { type ControlReply, type ControlRequest, decodeRequest } from "../protocol/control.ts";
import { encodeLine, LineTooLongError, MAX_REQUEST_BYTES, readLine } from "../protocol/jsonl.ts";
import { acceptLoop } from "../platform/accept_loop.ts";

export interface ControlServerOptions {
  /** Already listening; the server closes it. */
  readonly listener: Deno.UnixListener;
  /** Carries out a request. What it throws becomes an error reply. */
  readonly handle: (request: ControlRequest) => Promise<ControlReply> | ControlReply;
  /** Resolves when every earlier connection to the events socket is registered. */
  readonly barrier: () => Promise<void>;
  readonly maxConnections: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How long a client may take to send its request, and then to take its reply. */
const CLIENT_TIMEOUT_MS = 5_000;

/** A connection that is being served. */
interface ControlConnection {
  /** Closes it, whatever it is doing. */
  readonly end: () => void;
  readonly served: Promise<void>;
}

export class ControlServer implements AsyncDisposable {
  readonly #options: ControlServerOptions;
  readonly #connections = new Set<ControlConnection>();
  /** Those that are being told that there are too many; as many of them at most. */
  readonly #refusals = new Set<ControlConnection>();
  readonly #accepting: Promise<void>;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    const { listener, logger } = options;
    this.#accepting = acceptLoop({ listener, onConnection: (conn) => this.#accept(conn), logger });
  }

  /** Closes the listener and every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    closeQuietly(this.#options.listener);
    await this.#accepting;
    const open = [...this.#connections, ...this.#refusals];
    for (const connection of open) connection.end();
    await Promise.all(open.map((connection) => connection.served));
  }

  #accept(conn: Deno.UnixConn): void {
    const { maxConnections, logger } = this.#options;
    if (this.#connections.size >= maxConnections) {
      logger.warn(`refused a control connection: ${maxConnections} are open (max_control_connections)`);
      if (this.#refusals.size >= maxConnections) return closeQuietly(conn);
      return this.#hold(conn, this.#refusals, (end) => this.#refuse(conn, end));
    }
    this.#hold(conn, this.#connections, (end) => this.#serve(conn, end));
  }

  /** Keeps the connection in `held` until `work` is done or it is ended; then closes it. */
  #hold(
    conn: Deno.UnixConn,
    held: Set<ControlConnection>,
    work: (end: () => void) => Promise<void>,
  ): void {
    const ended = Promise.withResolvers<never>();
    const end = (): void => {
      closeQuietly(conn);
      ended.reject(new Error("the client took too long, or the daemon is ending"));
    };
    // Raced, because in Deno 2.4 closing does not end a write that is in flight: that lasts until the peer reads or dies.
    const served = Promise.race([work(end), ended.promise]).catch((error) => {
      // The client went away, or was too slow: its own loss.
      this.#options.logger.debug(`a control connection ended early: ${messageOf(error)}`);
    }).finally(() => {
      closeQuietly(conn);
      held.delete(connection);
    });
    const connection = { end, served };
    held.add(connection);
  }

  async #refuse(conn: Deno.UnixConn, end: () => void): Promise<void> {
    const message =
      `the daemon serves ${this.#options.maxConnections} control connections already; try again`;
    const reply: ControlReply = { ok: false, error: { code: "busy", message } };
    await this.#withinTimeout(end, async () => {
      await writeAll(conn, encodeLine(reply));
      await discardRest(conn);
    });
  }

  async #serve(conn: Deno.UnixConn, end: () => void): Promise<void> {
    const line = await this.#withinTimeout(end, () => readRequestLine(conn));
    if (line === null) return;
    const reply = await this.#replyTo(line);
    await this.#withinTimeout(end, async () => {
      await writeAll(conn, encodeLine(reply));
      if (line instanceof LineTooLongError) await discardRest(conn);
    });
  }

  async #replyTo(line: Uint8Array | LineTooLongError): Promise<ControlReply> {
    if (line instanceof LineTooLongError) {
      return { ok: false, error: { code: "protocol", message: `the request is too long: ${line.message}` } };
    }
    const decoded = decodeRequest(line);
    await this.#options.barrier();
    if ("error" in decoded) return { ok: false, error: decoded.error };
    try {
      return await this.#options.handle(decoded.request);
    } catch (error) {
      this.#options.logger.error(`${decoded.request.op} failed: ${messageOf(error)}`);
      return { ok: false, error: { code: "failed", message: messageOf(error) } };
    }
  }

  /** Ends the connection when `work` takes too long. */
  async #withinTimeout<T>(end: () => void, work: () => Promise<T>): Promise<T> {
    const cancel = this.#options.clock.after(CLIENT_TIMEOUT_MS, end);
    try {
      return await work();
    } finally {
      cancel();
    }
  }
}

async function readRequestLine(conn: Deno.UnixConn): Promise<Uint8Array | LineTooLongError | null> {
  try {
    return (await readLine(conn, { maxBytes: MAX_REQUEST_BYTES }))?.line ?? null;
  } catch (error) {
    if (error instanceof LineTooLongError) return error;
    throw error;
  }
}

async function writeAll(conn: Deno.UnixConn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await conn.write(bytes.subarray(written));
}

/** Closing a Unix socket with input unread resets it, and the client would lose the reply. */
async function discardRest(conn: Deno.UnixConn): Promise<void> {
  await conn.closeWrite();
  const discarded = new Uint8Array(MAX_REQUEST_BYTES);
  for (let count: number | null = 0; count !== null;) count = await conn.read(discarded);
}

/** Closes what may have been closed already. */
function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
