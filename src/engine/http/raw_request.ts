/**
 * A request written by hand, on a connection of its own, for what `fetch` cannot do: take the connection over (attach), or
 * bring many small chunks of a reply at once.
 */
import { messageOf } from "../../platform/apex_error.ts";
import { Deadline, DeadlineExceeded } from "../../platform/async/deadline.ts";
import { type Clock, systemClock } from "../../platform/clock.ts";
import { closeQuietly, writeAll } from "../../platform/unix_socket.ts";
import { EngineError, readRefusal } from "./engine_error.ts";

export interface RawRequest {
  readonly socketPath: string;
  readonly method: "GET" | "POST";
  /** Path and query, with the version. */
  readonly target: string;
  /** Beside `Host`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Gives up on the attempt. A reply that is here goes on without it. */
  readonly abort?: AbortSignal | undefined;
  readonly clock?: Clock;
  /** Until the reply's head is here; 0: no limit. Default 30 s. */
  readonly timeoutMs?: number;
}

export interface RawReply {
  /** The caller's to close. */
  readonly conn: Deno.UnixConn;
  readonly head: ReplyHead;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * Sends it, and reads the head of the reply.
 * @throws {EngineError} for every status but 101 and 200, with the engine's own words, and when no reply comes
 * @throws the signal's reason when it aborts
 */
export async function sendRawRequest(request: RawRequest): Promise<RawReply> {
  const { socketPath, abort, clock = systemClock, timeoutMs = DEFAULT_TIMEOUT_MS } = request;
  abort?.throwIfAborted();
  const conn = await connect(socketPath);
  let isTaken = false;
  try {
    using deadline = new Deadline(timeoutMs, { clock, abort });
    const close = () => closeQuietly(conn);
    deadline.abortSignal.addEventListener("abort", close, { once: true });
    try {
      const head = await exchange(conn, request, clock);
      deadline.abortSignal.throwIfAborted();
      isTaken = true;
      return { conn, head };
    } catch (error) {
      throw deadline.abortSignal.aborted ? explain(deadline.abortSignal.reason, request) : error;
    } finally {
      deadline.abortSignal.removeEventListener("abort", close);
    }
  } finally {
    if (!isTaken) closeQuietly(conn);
  }
}

async function connect(path: string): Promise<Deno.UnixConn> {
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (error) {
    throw new EngineError(`cannot reach the engine at ${path}: ${messageOf(error)}`, { cause: error });
  }
}

async function exchange(conn: Deno.UnixConn, request: RawRequest, clock: Clock): Promise<ReplyHead> {
  const { method, target, headers } = request;
  const lines = Object.entries({ Host: "localhost", ...headers }).map(([name, value]) =>
    `${name}: ${value}\r\n`
  );
  try {
    await writeAll(conn, new TextEncoder().encode(`${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`));
    const head = await readReplyHead(conn);
    if (head.status === 101 || head.status === 200) return head;
    const response = new Response(await readRestOfReply(conn, head), { status: head.status });
    throw await readRefusal(response, { request, clock });
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw new EngineError(
      `the engine at ${request.socketPath} broke off ${nameOf(request)}: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

function explain(reason: unknown, request: RawRequest): unknown {
  if (!(reason instanceof DeadlineExceeded)) return reason;
  const seconds = reason.timeoutMs / 1_000;
  return new EngineError(
    `the engine at ${request.socketPath} gave no answer to ${nameOf(request)} in ${seconds} s`,
    { cause: reason },
  );
}

function nameOf({ method, target }: RawRequest): string {
  return `${method} ${target.replace(/\?.*$/, "")}`;
}

/** The head of an HTTP/1.1 reply, read by hand from a connection that is to be taken over. */

/** Where bytes come from; `Deno.Conn` is one. */
interface ByteSource {
  read(buffer: Uint8Array): Promise<number | null>;
}

export interface ReplyHead {
  readonly status: number;
  /** From the `Content-Length` header. */
  readonly bodyBytes?: number;
  /** Its body is in chunks. */
  readonly isChunked: boolean;
  /** What had already come behind the head. */
  readonly rest: Uint8Array;
}

const MAX_HEAD_BYTES = 64 * 1024;
const MAX_BODY_BYTES = 64 * 1024;
const HEAD_END = "\r\n\r\n";

/**
 * Reads up to the empty line.
 * @throws {SyntaxError} when it is no reply, or its head is longer than any
 */
export async function readReplyHead(source: ByteSource): Promise<ReplyHead> {
  const buffer = new Uint8Array(MAX_HEAD_BYTES);
  const decoder = new TextDecoder("latin1");
  for (let length = 0; length < buffer.length;) {
    const count = await source.read(buffer.subarray(length));
    if (count === null) throw new SyntaxError("the connection ended before the reply did");
    const searchFrom = Math.max(length - HEAD_END.length, 0);
    length += count;
    const found = decoder.decode(buffer.subarray(searchFrom, length)).indexOf(HEAD_END);
    if (found < 0) continue;
    const end = searchFrom + found;
    const rest = buffer.slice(end + HEAD_END.length, length);
    return { ...parseHead(decoder.decode(buffer.subarray(0, end))), rest };
  }
  throw new SyntaxError(`the head of the reply is over ${MAX_HEAD_BYTES} bytes`);
}

/**
 * The body of a reply that is no hand-over: as long as its head says, or else up to what may be its end, and never more
 * than 64 KiB. Its transfer coding, if it has one, is cut away around the JSON object in it.
 */
export async function readRestOfReply(source: ByteSource, head: ReplyHead): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(MAX_BODY_BYTES);
  let length = Math.min(head.rest.length, buffer.length);
  buffer.set(head.rest.subarray(0, length));
  const wanted = Math.min(head.bodyBytes ?? buffer.length, buffer.length);
  while (length < wanted) {
    if (head.bodyBytes === undefined && decoder.decode(buffer.subarray(0, length)).endsWith("0\r\n\r\n")) {
      break;
    }
    const count = await source.read(buffer.subarray(length, wanted));
    if (count === null) break;
    length += count;
  }
  const text = decoder.decode(buffer.subarray(0, length));
  return /\{.*\}/s.exec(text)?.[0] ?? text;
}

function parseHead(head: string): Omit<ReplyHead, "rest"> {
  const status = /^HTTP\/1\.\d (\d{3})(?: |\r|$)/.exec(head)?.[1];
  if (status === undefined) throw new SyntaxError("what came is no HTTP reply");
  const bodyBytes = /^content-length:[ \t]*(\d{1,9})[ \t]*$/im.exec(head)?.[1];
  const isChunked = /^transfer-encoding:.*\bchunked[ \t]*$/im.test(head);
  return {
    status: Number(status),
    isChunked,
    ...(bodyBytes !== undefined && { bodyBytes: Number(bodyBytes) }),
  };
}
