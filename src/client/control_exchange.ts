/**
 * One exchange on the control socket: a fresh connection, one request line, one reply line. {@linkcode request} closes the
 * connection then; {@linkcode openExchange} leaves it open, for the frames or lines that follow.
 */
import * as v from "valibot";
import { ApexError, type ErrorCode, EXIT_STATUS, messageOf } from "../platform/apex_error.ts";
import { closeQuietly, writeAll } from "../platform/unix_socket.ts";
import { decodeLine, encodeLine, MAX_REPLY_BYTES, readLine } from "../protocol/jsonl.ts";
import {
  type ControlOp,
  type ControlRequestOf,
  type ControlResultOf,
  OPERATIONS,
  replySchema,
} from "../protocol/operations.ts";
import { PROTOCOL_VERSION, VERSION } from "../protocol/version.ts";
import { connect, type ConnectOptions } from "./connect.ts";

/** The fields of an operation's request, without `v` and `op`; `{}` if it has none. */
export type ControlParamsOf<Op extends ControlOp> = keyof RequestFieldsOf<Op> extends never
  ? Readonly<Record<string, never>>
  : RequestFieldsOf<Op>;

type RequestFieldsOf<Op extends ControlOp> = Omit<ControlRequestOf<Op>, "v" | "op">;

/** An error reply of the daemon, with its code: the exchange itself succeeded. */
export class RefusedError extends ApexError {}

export interface RequestOptions extends ConnectOptions {
  /** Milliseconds until the reply line must have arrived; 10 s by default, 30 s for a stream. */
  readonly timeoutMs?: number;
}

/**
 * Carries out an operation, and validates its result.
 *
 * @throws {RefusedError} the daemon's error reply
 * @throws {ApexError} `no_daemon`; `timeout`; `protocol` if the peer is not an apex daemon, is one of another version, or ends
 * the connection before it replies (the cause is then `UnexpectedEof` or `ConnectionReset`)
 * @throws the reason of `abort` when it is aborted
 */
export async function request<Op extends ControlOp>(
  socketPath: string,
  op: Op,
  params: ControlParamsOf<Op>,
  options: RequestOptions = {},
): Promise<ControlResultOf<Op>> {
  return await requestAs(socketPath, { op, params, read: resultOf(op) }, options);
}

/** An operation, and how to read its result. */
export interface Question<Op extends ControlOp, Result> {
  readonly op: Op;
  readonly params: ControlParamsOf<Op>;
  /** Converts the result of the reply. Errors other than {@linkcode ApexError} are wrapped in one. */
  readonly read: (result: unknown) => Result;
}

/**
 * Like {@linkcode request}, with a result that `read` validates.
 *
 * @throws as {@linkcode request} does
 */
export async function requestAs<Op extends ControlOp, Result>(
  socketPath: string,
  question: Question<Op, Result>,
  { abort, timeoutMs = DEFAULT_TIMEOUT_MS }: RequestOptions = {},
): Promise<Result> {
  const limits = { abort, timeoutMs, maxReplyBytes: MAX_REPLY_BYTES };
  const { result, close } = await exchange(socketPath, question, limits);
  close();
  return result;
}

/** An exchange whose connection is still open. Its owner closes it. */
export interface OpenExchange<Result> {
  readonly conn: Deno.UnixConn;
  readonly result: Result;
  /** Bytes that arrived together with the reply line, and belong to what follows it. */
  readonly rest: Uint8Array;
  /** Closes the connection, and stops listening to `abort`. Can be called repeatedly. */
  readonly close: () => void;
}

/**
 * Starts an operation that streams. Until its owner closes the connection, `abort` does.
 *
 * @throws as {@linkcode request} does
 */
export async function openExchange<Op extends ControlOp>(
  socketPath: string,
  { op, params }: { readonly op: Op; readonly params: ControlParamsOf<Op> },
  { abort, timeoutMs = STREAM_TIMEOUT_MS }: RequestOptions = {},
): Promise<OpenExchange<ControlResultOf<Op>>> {
  const limits = { abort, timeoutMs, maxReplyBytes: MAX_STREAM_REPLY_BYTES };
  return await exchange(socketPath, { op, params, read: resultOf(op) }, limits);
}

/** A daemon answers from memory; one that takes longer is stuck. */
const DEFAULT_TIMEOUT_MS = 10_000;
/** A daemon that has just started may wait for its engine before it replies. */
const STREAM_TIMEOUT_MS = 30_000;
/** The reply line of a stream is short, and what arrives with it must fit into the buffer of the stream's reader. */
const MAX_STREAM_REPLY_BYTES = 64 * 1024;

async function exchange<Op extends ControlOp, Result>(
  socketPath: string,
  { op, params, read }: Question<Op, Result>,
  { abort, timeoutMs, maxReplyBytes }: Required<RequestOptions> & { readonly maxReplyBytes: number },
): Promise<OpenExchange<Result>> {
  abort?.throwIfAborted();
  const conn = await connect(socketPath, { abort });
  let hasTimedOut = false;
  // A pending read takes no signal: only closing the connection ends it.
  const close = (): void => {
    abort?.removeEventListener("abort", close);
    closeQuietly(conn);
  };
  const timer = setTimeout(() => {
    hasTimedOut = true;
    close();
  }, timeoutMs);
  abort?.addEventListener("abort", close, { once: true });
  try {
    await writeRequest(conn, encodeLine({ v: PROTOCOL_VERSION, op, ...params }));
    const framed = await readLine(conn, { maxBytes: maxReplyBytes });
    if (framed === null) throw new Deno.errors.UnexpectedEof("the connection ended without one");
    return { conn, result: read(resultIn(decodeLine(framed.line))), rest: framed.rest, close };
  } catch (error) {
    close();
    abort?.throwIfAborted();
    if (hasTimedOut) {
      throw new ApexError("timeout", `the daemon at ${socketPath} did not answer ${op} in ${timeoutMs} ms`);
    }
    if (error instanceof ApexError) throw error;
    if (error instanceof v.ValiError) throw unknownForm(op, socketPath, error);
    throw new ApexError("protocol", `no valid reply from ${socketPath}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

function resultOf<Op extends ControlOp>(op: Op): (result: unknown) => ControlResultOf<Op> {
  return (result) => v.parse(OPERATIONS[op].result, result) as ControlResultOf<Op>;
}

async function writeRequest(conn: Deno.Conn, line: Uint8Array): Promise<void> {
  try {
    await writeAll(conn, line);
  } catch (error) {
    // A daemon that refuses a connection replies and closes it without reading: the reply can still be read.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

function resultIn(value: unknown): unknown {
  const reply = v.parse(replySchema, value);
  if (!reply.ok) throw new RefusedError(knownCode(reply.error.code), reply.error.message);
  return reply.result;
}

/** Schemas accept the replies of newer daemons, so this daemon has another protocol, or is too old. */
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
