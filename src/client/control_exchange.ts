/** What every exchange on the control socket begins with: one request line, one reply line. */
import * as v from "valibot";
import { ApexError, type ErrorCode, EXIT_STATUS, messageOf } from "../platform/apex_error.ts";
import { closeQuietly, writeAll } from "../platform/unix_socket.ts";
import {
  type ControlOp,
  type ControlRequestOf,
  type ControlResultOf,
  type LineOp,
  replySchema,
  resultSchemas,
  type StreamOp,
} from "../protocol/control.ts";
import { decodeLine, encodeLine, MAX_REPLY_BYTES, readLine } from "../protocol/jsonl.ts";
import { PROTOCOL_VERSION, VERSION } from "../protocol/version.ts";
import { connect, type ConnectOptions } from "./connect.ts";

/** What an operation is asked with, beside its name; `{}` where it takes nothing. */
export type ControlParamsOf<Op extends ControlOp> = keyof RequestFieldsOf<Op> extends never
  ? Readonly<Record<string, never>>
  : RequestFieldsOf<Op>;

type RequestFieldsOf<Op extends ControlOp> = Omit<ControlRequestOf<Op>, "v" | "op">;

export interface Exchange<Op extends ControlOp, Result> {
  readonly op: Op;
  readonly params: ControlParamsOf<Op>;
  /** Makes what it is for of the result that came; what it throws that is no {@linkcode ApexError} is wrapped in one. */
  readonly read: (result: unknown) => Result;
  /** For messages. */
  readonly socketPath: string;
  /** The longest reply that is taken. */
  readonly maxReplyBytes: number;
}

/** The daemon's answer. */
export interface Answer<Result> {
  readonly result: Result;
  /** What has come already behind the reply line. */
  readonly rest: Uint8Array;
}

/**
 * Asks on a fresh connection and reads the answer.
 *
 * @throws {RefusedError} the daemon's own error. {ApexError} `protocol` when the peer is no apex daemon, or one of another
 * version, or is gone before it answered (the cause is then `UnexpectedEof` or `ConnectionReset`).
 */
export async function exchange<Op extends ControlOp, Result>(
  conn: Deno.Conn,
  { op, params, read, socketPath, maxReplyBytes }: Exchange<Op, Result>,
): Promise<Answer<Result>> {
  try {
    await writeRequest(conn, encodeLine({ v: PROTOCOL_VERSION, op, ...params }));
    const framed = await readLine(conn, { maxBytes: maxReplyBytes });
    if (framed === null) throw new Deno.errors.UnexpectedEof("the connection ended without one");
    return { result: read(resultIn(decodeLine(framed.line))), rest: framed.rest };
  } catch (error) {
    if (error instanceof ApexError) throw error;
    if (error instanceof v.ValiError) throw unknownForm(op, socketPath, error);
    throw new ApexError("protocol", `no valid reply from ${socketPath}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The result of an operation, validated. @throws {ValiError} */
export function resultOf<Op extends ControlOp>(op: Op): (result: unknown) => ControlResultOf<Op> {
  return (result) => v.parse(resultSchemas[op], result) as ControlResultOf<Op>;
}

async function writeRequest(conn: Deno.Conn, line: Uint8Array): Promise<void> {
  try {
    await writeAll(conn, line);
  } catch (error) {
    // A daemon that refuses a connection replies and closes without reading: its reply is there to be read.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

function resultIn(value: unknown): unknown {
  const reply = v.parse(replySchema, value);
  if (!reply.ok) throw new RefusedError(knownCode(reply.error.code), reply.error.message);
  return reply.result;
}

/** Schemas are lenient towards newer daemons: this one is of another protocol, or too old. */
function unknownForm(op: string, socketPath: string, cause: Error): ApexError {
  return new ApexError(
    "protocol",
    `the daemon at ${socketPath} answers ${op} in a form that apex ${VERSION} does not know; it is probably another ` +
      "version of apex (see: apex status), restart it with this one: apex restart",
    { cause },
  );
}

function knownCode(code: string): ErrorCode {
  return Object.hasOwn(EXIT_STATUS, code) ? code as ErrorCode : "failed";
}

/** What the daemon itself said instead of a result, with its code: the exchange as such went well. */
export class RefusedError extends ApexError {}

/** The reply line before a stream is short, and what came behind it must fit into the stream's reader. */
const MAX_STREAM_REPLY_BYTES = 64 * 1024;
/** A daemon that has just started may wait for its engine first. */
const REPLY_TIMEOUT_MS = 30_000;

export interface OpenStreamOptions extends ConnectOptions {
  /** Milliseconds that the reply line may take; 30 s by default. */
  readonly timeoutMs?: number;
}

/** A connection on which something streams: its owner closes it. */
export interface OpenExchange<Op extends StreamOp | LineOp> {
  readonly conn: Deno.Conn;
  readonly answer: Answer<ControlResultOf<Op>>;
  /** Closes the connection, and listens on the signal no more. May be called again. */
  readonly close: () => void;
}

/**
 * Asks for an operation that streams. Aborting the signal closes the connection, until its owner does.
 *
 * @throws {ApexError} the daemon's own error; `no_daemon`; `timeout`; `protocol` when the peer is no apex daemon. The
 * signal's reason when that is aborted.
 */
export async function openExchange<Op extends StreamOp | LineOp>(
  socketPath: string,
  { op, params }: { readonly op: Op; readonly params: ControlParamsOf<Op> },
  { signal, timeoutMs = REPLY_TIMEOUT_MS }: OpenStreamOptions,
): Promise<OpenExchange<Op>> {
  signal?.throwIfAborted();
  const conn = await connect(socketPath, { signal });
  let timedOut = false;
  const close = () => {
    signal?.removeEventListener("abort", close);
    closeQuietly(conn);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    close();
  }, timeoutMs);
  signal?.addEventListener("abort", close, { once: true });
  try {
    const answer = await exchange(conn, {
      op,
      params,
      read: resultOf(op),
      socketPath,
      maxReplyBytes: MAX_STREAM_REPLY_BYTES,
    });
    return { conn, answer, close };
  } catch (error) {
    close();
    signal?.throwIfAborted();
    if (timedOut) {
      throw new ApexError("timeout", `the daemon at ${socketPath} did not answer ${op} in ${timeoutMs} ms`);
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole exchange; 10 s by default. */
  readonly timeoutMs?: number;
}

/**
 * One operation on the control socket, its result validated.
 *
 * @throws {ApexError} the daemon's own error; `no_daemon`; `timeout`; `protocol` when the peer is no apex daemon, or one of
 * another version. The signal's reason when that is aborted.
 */
export async function request<Op extends ControlOp>(
  socketPath: string,
  op: Op,
  params: ControlParamsOf<Op>,
  options: RequestOptions = {},
): Promise<ControlResultOf<Op>> {
  return await requestAs(socketPath, { op, params, read: resultOf(op) }, options);
}

/**
 * The same for a result of which `read` makes something else.
 *
 * @throws as {@linkcode request} does, and what `read` throws
 */
export async function requestAs<Op extends ControlOp, Result>(
  socketPath: string,
  { op, params, read }: Pick<Exchange<Op, Result>, "op" | "params" | "read">,
  options: RequestOptions = {},
): Promise<Result> {
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  signal?.throwIfAborted();
  using conn = await connect(socketPath, { signal });
  let timedOut = false;
  // A pending read knows no signal: closing the connection is what ends it.
  const close = () => closeQuietly(conn);
  const timer = setTimeout(() => {
    timedOut = true;
    close();
  }, timeoutMs);
  signal?.addEventListener("abort", close, { once: true });
  try {
    return (await exchange(conn, { op, params, read, socketPath, maxReplyBytes: MAX_REPLY_BYTES })).result;
  } catch (error) {
    signal?.throwIfAborted();
    if (timedOut) {
      throw new ApexError("timeout", `the daemon at ${socketPath} did not answer ${op} in ${timeoutMs} ms`);
    }
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", close);
  }
}

/** A daemon answers from memory; one that takes longer is stuck. */
const DEFAULT_TIMEOUT_MS = 10_000;
