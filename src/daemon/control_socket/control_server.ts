/**
 * Serves `apex.socket`: one request line on each connection, one reply line, and, for some operations, a stream of frames or
 * lines after it.
 *
 * 1. The server accepts a connection, or refuses it as `busy`. Each connection that is accepted has an owner
 *    (`ControlConnection`), which disconnects a client that sends no request, or does not take its reply.
 * 2. Before it carries out a request, it waits until every earlier connection to `events.socket` is registered as a subscriber.
 *    So "connect to events.socket, list the containers, apply the events" has no gap.
 * 3. It decodes the request, calls the handler, and sends the reply line. For a stream it lends the handler a channel.
 *
 * A client that sends invalid data gets an error reply. A client that does not read its stream delays only that stream.
 */
import { messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { acceptLoop, closeQuietly, discardRest, writeAll } from "../../platform/unix_socket.ts";
import { encodeJsonFrame, FrameError } from "../../protocol/frames.ts";
import {
  encodeLine,
  type FramedLine,
  LineTooLongError,
  MAX_REQUEST_BYTES,
  readLine,
} from "../../protocol/jsonl.ts";
import {
  type ControlError,
  type ControlOp,
  type ControlReply,
  type ControlRequest,
  OPERATIONS,
} from "../../protocol/operations.ts";
import { type ControlAnswer, controlError, type StreamReply } from "./answer.ts";
import { DaemonEndingError, type SocketChannel } from "./control_channel.ts";
import { ControlConnection } from "./control_connection.ts";
import { decodeRequest } from "./decode_request.ts";

export interface ControlServerOptions {
  /** Already listening; the server closes it. */
  readonly listener: Deno.UnixListener;
  /** Carries out any request. What it throws becomes an error reply. `abort` is aborted when the daemon ends. */
  readonly handle: (request: ControlRequest, abort: AbortSignal) => Promise<ControlAnswer> | ControlAnswer;
  /** Resolves when every earlier connection to the events socket is registered. */
  readonly barrier: () => Promise<void>;
  /** Of connections without a reply line yet, and the same number of refusals; streams are counted separately. */
  readonly maxConnections: number;
  readonly maxStreams?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Each stream needs two descriptors at most: its own, and one to the engine. */
const MAX_STREAMS = 4_096;

/** Serves from its construction on. Disposing it closes all connections and waits for the operations of streams. */
export class ControlServer implements AsyncDisposable {
  readonly #options: ControlServerOptions;
  readonly #maxStreams: number;
  readonly #connections = new Set<ControlConnection>();
  readonly #streams = new Set<ControlConnection>();
  readonly #refusals = new Set<ControlConnection>();
  /** All work on connections and streams; disposal waits for it. */
  readonly #work = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #accepting: Promise<void>;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#maxStreams = options.maxStreams ?? MAX_STREAMS;
    const { listener, logger } = options;
    this.#accepting = acceptLoop({ listener, onConnection: (conn) => this.#accept(conn), logger });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeQuietly(this.#options.listener);
    const reason = new DaemonEndingError();
    this.#stop.abort(reason);
    await this.#accepting;
    for (const connection of [...this.#connections, ...this.#streams, ...this.#refusals]) {
      connection.end(reason);
    }
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  #accept(conn: Deno.UnixConn): void {
    const { maxConnections, logger, clock } = this.#options;
    if (this.#connections.size < maxConnections) {
      const connection = new ControlConnection(conn, { countedIn: this.#connections, clock });
      return this.#use(connection, () => this.#serve(connection));
    }
    logger.warn(`refused a control connection: ${maxConnections} are open (max_control_connections)`);
    if (this.#refusals.size >= maxConnections) return closeQuietly(conn);
    const refused = new ControlConnection(conn, { countedIn: this.#refusals, clock });
    const message = `the daemon serves ${maxConnections} control connections already; try again`;
    this.#use(refused, () => this.#refuse(refused, { code: "busy", message }));
  }

  #use(connection: ControlConnection, work: () => Promise<void>): void {
    this.#track(
      connection.use(work).catch((error) => {
        this.#options.logger.debug(`a control connection ended early: ${messageOf(error)}`);
      }),
    );
  }

  /** @param work never rejects */
  #track(work: Promise<void>): void {
    this.#work.add(work);
    void work.then(() => this.#work.delete(work));
  }

  async #serve(connection: ControlConnection): Promise<void> {
    const framed = await connection.withinTimeout(() => readRequest(connection.conn));
    if (framed === null) return;
    if (framed instanceof LineTooLongError) {
      const message = `the request is too long: ${framed.message}`;
      return await this.#refuse(connection, { code: "protocol", message });
    }
    const decoded = decodeRequest(framed.line);
    await this.#options.barrier();
    // The daemon is ending: it starts no further operation.
    if (connection.hasEnded) return;
    if ("error" in decoded) return await this.#send(connection, { ok: false, error: decoded.error });
    const { request } = decoded;
    if (OPERATIONS[request.op].kind === "reply") return await this.#serveReply(connection, request);
    if (this.#streams.size >= this.#maxStreams) {
      this.#options.logger.warn(`refused a stream: ${this.#maxStreams} are open (max_streams)`);
      const message = `the daemon serves ${this.#maxStreams} streams already; try again`;
      return await this.#refuse(connection, { code: "busy", message });
    }
    connection.countIn(this.#streams);
    const operation = this.#serveStream(connection, { request, rest: framed.rest });
    // An ended connection is closed at once, but its operation takes time to release its resources: disposal waits for it.
    this.#track(operation.catch(() => {}));
    await operation;
  }

  async #serveReply(connection: ControlConnection, request: ControlRequest): Promise<void> {
    const answer = await this.#handle(request);
    if ("code" in answer) return await this.#send(connection, { ok: false, error: answer });
    try {
      await this.#send(connection, { ok: true, result: answer.result });
    } finally {
      if ("afterReply" in answer) answer.afterReply?.();
    }
  }

  async #serveStream(
    connection: ControlConnection,
    { request, rest }: { request: ControlRequest; rest: Uint8Array },
  ): Promise<void> {
    const answer = await this.#handle(request);
    if ("code" in answer) return await this.#refuse(connection, answer);
    const { result, stream } = answer as StreamReply;
    const channel = connection.openChannel(rest);
    try {
      // Through the channel, whose end interrupts a pending write.
      await connection.withinTimeout(() => channel.send(encodeLine({ ok: true, result })));
    } catch (error) {
      channel.end(new Error("the client did not take the reply", { cause: error }));
    }
    const operation = stream(channel);
    const discarding = channel.isRead ? undefined : channel.discardInput();
    const lastFrame = await this.#failureFrame(operation, { channel, op: request.op });
    if (channel.abortSignal.aborted) return;
    // Closing a socket with unread input resets the connection, and the client would lose its last frame.
    await connection.withinTimeout(async () => {
      if (lastFrame !== undefined) await channel.send(lastFrame);
      await connection.conn.closeWrite();
      await (discarding ?? channel.discardInput());
    });
  }

  /** Waits for a stream's operation. Returns a frame with its error, unless it failed because the client hung up. */
  async #failureFrame(
    operation: Promise<void>,
    { channel, op }: { channel: SocketChannel; op: ControlOp },
  ): Promise<Uint8Array | undefined> {
    try {
      await operation;
      return undefined;
    } catch (error) {
      if (channel.abortSignal.aborted) return undefined;
      // An invalid frame is the client's error, and not logged.
      if (!(error instanceof FrameError)) {
        this.#options.logger.error(`${op} failed in its stream: ${messageOf(error)}`);
      }
      return OPERATIONS[op].kind === "lines"
        ? undefined
        : encodeJsonFrame("exit", { error: messageOf(error) });
    }
  }

  async #send(connection: ControlConnection, reply: ControlReply): Promise<void> {
    await connection.withinTimeout(() => writeAll(connection.conn, encodeLine(reply)));
  }

  /** Sends an error, and discards the client's unread input: closing with it would reset the connection. */
  async #refuse(connection: ControlConnection, error: ControlError): Promise<void> {
    await connection.withinTimeout(async () => {
      await writeAll(connection.conn, encodeLine({ ok: false, error } satisfies ControlReply));
      await discardRest(connection.conn);
    });
  }

  async #handle(request: ControlRequest): Promise<ControlAnswer | ControlError> {
    try {
      return await this.#options.handle(request, this.#stop.signal);
    } catch (error) {
      return controlError(error, { op: request.op, logger: this.#options.logger });
    }
  }
}

async function readRequest(conn: Deno.UnixConn): Promise<FramedLine | LineTooLongError | null> {
  try {
    return await readLine(conn, { maxBytes: MAX_REQUEST_BYTES });
  } catch (error) {
    if (error instanceof LineTooLongError) return error;
    throw error;
  }
}
