/**
 * Serves `apex.socket`: one request line a connection, one reply line, and then the end, or, for the operations that say
 * so, a stream of frames or of lines. Before each reply it waits until every subscriber that connected earlier is registered, so that
 * "connect to events.socket, ask for the state, then react" has no gap. A client that sends nonsense, or nothing, gets an
 * error or its connection closed, and hurts nobody; one that does not read its stream holds up nobody but itself.
 */
import { messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { acceptLoop, closeQuietly, discardRest, writeAll } from "../../platform/unix_socket.ts";
import {
  type ControlOp,
  type ControlReply,
  type ControlRequest,
  isLineOp,
  isStreamOp,
} from "../../protocol/control.ts";
import { encodeJsonFrame, FrameError } from "../../protocol/frames.ts";
import {
  encodeLine,
  type FramedLine,
  LineTooLongError,
  MAX_REQUEST_BYTES,
  readLine,
} from "../../protocol/jsonl.ts";
import { type ControlChannel, DaemonEndingError, type SocketChannel } from "./control_channel.ts";
import { ControlConnection } from "./control_connection.ts";
import { decodeRequest } from "./decode_request.ts";
import { errorReply } from "./error_reply.ts";

/** The reply of an operation that goes on after it. */
export interface StreamReply {
  readonly ok: true;
  readonly result: unknown;
  /**
   * Sends what follows the reply line; the connection ends when it settles. Called exactly once, even when the client is
   * gone by then: the channel's signal is aborted in that case, and the operation can still let go of what it holds. What
   * it throws while the client is there becomes a last frame, `exit {error}`; lines end without their last one then.
   */
  readonly stream: (channel: ControlChannel) => Promise<void>;
}

/** The reply of an operation that does the rest when the client has it. */
export interface FirstReply {
  readonly ok: true;
  readonly result: unknown;
  /** Called once, even when the client is gone by then. */
  readonly afterReply: () => void;
}

export type ControlAnswer = ControlReply | FirstReply | StreamReply;

/** Carries out a request. What it throws becomes an error reply. `signal` is aborted when the daemon ends. */
export type ControlHandler = (
  request: ControlRequest,
  signal: AbortSignal,
) => Promise<ControlAnswer> | ControlAnswer;

export interface ControlServerOptions {
  /** Already listening; the server closes it. */
  readonly listener: Deno.UnixListener;
  /** Answers with a stream only what {@linkcode isStreamOp} and {@linkcode isLineOp} know. */
  readonly handle: ControlHandler;
  /** Resolves when every earlier connection to the events socket is registered. */
  readonly barrier: () => Promise<void>;
  /** Those that have not had their reply; streams are counted apart. */
  readonly maxConnections: number;
  readonly maxStreams?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Each costs two descriptors at most, its own and one to the engine. */
const MAX_STREAMS = 4_096;

export class ControlServer implements AsyncDisposable {
  readonly #options: ControlServerOptions;
  readonly #maxStreams: number;
  readonly #connections = new Set<ControlConnection>();
  readonly #streams = new Set<ControlConnection>();
  /** Those that are being told that there are too many; as many of them at most. */
  readonly #refusals = new Set<ControlConnection>();
  /** All that is being done with connections; what streams is waited for at the end. */
  readonly #work = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #accepting: Promise<void>;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#maxStreams = options.maxStreams ?? MAX_STREAMS;
    const { listener, logger } = options;
    this.#accepting = acceptLoop({ listener, onConnection: (conn) => this.#accept(conn), logger });
  }

  /** Closes the listener and every connection, and waits until the operations of all streams have let go. */
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
    if (this.#connections.size >= maxConnections) {
      logger.warn(`refused a control connection: ${maxConnections} are open (max_control_connections)`);
      if (this.#refusals.size >= maxConnections) return closeQuietly(conn);
      const refused = new ControlConnection(conn, { keptIn: this.#refusals, clock });
      return this.#use(refused, () => this.#refuse(refused));
    }
    const connection = new ControlConnection(conn, { keptIn: this.#connections, clock });
    this.#use(connection, () => this.#serve(connection));
  }

  #use(connection: ControlConnection, work: () => Promise<void>): void {
    this.#track(
      connection.use(work).catch((error) => {
        // The client went away, or was too slow: its own loss.
        this.#options.logger.debug(`a control connection ended early: ${messageOf(error)}`);
      }),
    );
  }

  /** @param work never rejects */
  #track(work: Promise<void>): void {
    this.#work.add(work);
    void work.then(() => this.#work.delete(work));
  }

  async #refuse(connection: ControlConnection): Promise<void> {
    const message =
      `the daemon serves ${this.#options.maxConnections} control connections already; try again`;
    await connection.withinTimeout(async () => {
      await writeAll(connection.conn, encodeLine({ ok: false, error: { code: "busy", message } }));
      await discardRest(connection.conn);
    });
  }

  async #serve(connection: ControlConnection): Promise<void> {
    const framed = await connection.withinTimeout(() => readRequest(connection.conn));
    if (framed === null) return;
    if (framed instanceof LineTooLongError) {
      const message = `the request is too long: ${framed.message}`;
      return await this.#reply(connection, { ok: false, error: { code: "protocol", message } }, {
        discard: true,
      });
    }
    const decoded = decodeRequest(framed.line);
    await this.#options.barrier();
    // Nothing is begun any more once the daemon is ending.
    if (connection.hasEnded) return;
    if ("error" in decoded) return await this.#reply(connection, { ok: false, error: decoded.error });
    const { request } = decoded;
    if (!isStreamOp(request.op) && !isLineOp(request.op)) {
      const answer = await this.#handle(request);
      try {
        return await this.#reply(connection, answer);
      } finally {
        if ("afterReply" in answer) answer.afterReply();
      }
    }
    if (this.#streams.size >= this.#maxStreams) {
      this.#options.logger.warn(`refused a stream: ${this.#maxStreams} are open (max_streams)`);
      const message = `the daemon serves ${this.#maxStreams} streams already; try again`;
      return await this.#reply(connection, { ok: false, error: { code: "busy", message } }, {
        discard: true,
      });
    }
    connection.keepIn(this.#streams);
    const operation = this.#serveStream(connection, { request, rest: framed.rest });
    // Cut short, the connection is closed at once; what the operation holds takes its time, and disposal waits for that.
    this.#track(operation.catch(() => {}));
    await operation;
  }

  async #serveStream(
    connection: ControlConnection,
    { request, rest }: { request: ControlRequest; rest: Uint8Array },
  ): Promise<void> {
    const answer = await this.#handle(request);
    if (!("stream" in answer)) return await this.#reply(connection, answer, { discard: true });
    const channel = connection.openChannel(rest);
    try {
      // By the channel, so that its end reaches a write that is in flight.
      const line = encodeLine({ ok: true, result: answer.result });
      await connection.withinTimeout(() => channel.send(line));
    } catch (error) {
      channel.end(new Error("the client did not take the reply", { cause: error }));
    }
    const operation = answer.stream(channel);
    const discarding = channel.isRead ? undefined : channel.discardInput();
    const lastFrame = await this.#failureFrame(operation, { channel, op: request.op });
    if (channel.signal.aborted) return;
    // Input that is left unread at the end would reset the connection, and the client would lose its last frame.
    await connection.withinTimeout(async () => {
      if (lastFrame !== undefined) await channel.send(lastFrame);
      await connection.conn.closeWrite();
      await (discarding ?? channel.discardInput());
    });
  }

  /** Waits for a stream's operation; the frame that tells the client of a failure, unless that is its own going. */
  async #failureFrame(
    operation: Promise<void>,
    { channel, op }: { channel: SocketChannel; op: ControlOp },
  ): Promise<Uint8Array | undefined> {
    let failure: unknown;
    try {
      await operation;
    } catch (error) {
      failure = error;
    }
    if (failure === undefined || channel.signal.aborted) return undefined;
    // What the client sent makes no sense: its own fault.
    if (!(failure instanceof FrameError)) {
      this.#options.logger.error(`${op} failed in its stream: ${messageOf(failure)}`);
    }
    return isLineOp(op) ? undefined : encodeJsonFrame("exit", { error: messageOf(failure) });
  }

  async #reply(
    connection: ControlConnection,
    reply: ControlReply,
    { discard = false }: { discard?: boolean } = {},
  ): Promise<void> {
    await connection.withinTimeout(async () => {
      await writeAll(connection.conn, encodeLine(reply));
      if (discard) await discardRest(connection.conn);
    });
  }

  async #handle(request: ControlRequest): Promise<ControlAnswer> {
    try {
      return await this.#options.handle(request, this.#stop.signal);
    } catch (error) {
      return errorReply(error, { op: request.op, logger: this.#options.logger });
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
