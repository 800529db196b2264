/**
 * A hand-written request on a connection of its own, for what `fetch` cannot do: take the connection over (attach), or
 * read many small chunks of a reply at once.
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
  /** In addition to `Host`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Aborts the attempt. It no longer has an effect once the head of the reply has arrived. */
  readonly abort?: AbortSignal | undefined;
  readonly clock?: Clock;
  /** Until the head of the reply arrives; 0: no limit. Default 30 s. */
  readonly timeoutMs?: number;
}

export interface RawReply {
  /** Closed by the caller. */
  readonly conn: Deno.UnixConn;
  readonly head: ReplyHead;
}

export interface ReplyHead {
  readonly status: number;
  /** From the `Content-Length` header. */
  readonly bodyBytes?: number;
  /** The body is in chunks. */
  readonly isChunked: boolean;
  /** The bytes that arrived after the head. */
  readonly rest: Uint8Array;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * Sends the request and reads the head of the reply.
 * @throws {EngineError} for every status but 101 and 200, with the engine's message, and when no reply arrives
 * @throws the reason of `abort` when it aborts
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
      `the engine at ${request.socketPath} broke the connection during ${nameOf(request)}: ${
        messageOf(error)
      }`,
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
    `the engine at ${request.socketPath} did not reply to ${nameOf(request)} within ${seconds} s`,
    { cause: reason },
  );
}

function nameOf({ method, target }: RawRequest): string {
  return `${method} ${target.replace(/\?.*$/, "")}`;
}

/** A source of bytes, for example a `Deno.Conn`. */
interface ByteSource {
  read(buffer: Uint8Array): Promise<number | null>;
}

const MAX_HEAD_BYTES = 64 * 1024;
const MAX_BODY_BYTES = 64 * 1024;
const HEAD_END = "\r\n\r\n";

/**
 * Reads the head of an HTTP/1.1 reply, up to the empty line.
 * @throws {SyntaxError} when it is not an HTTP reply, or its head is too long
 */
async function readReplyHead(source: ByteSource): Promise<ReplyHead> {
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
 * Reads the body of an error reply: `Content-Length` bytes, or else up to its probable end, but at most 64 KiB. If the
 * body is chunked, only the JSON object in it is returned.
 */
async function readRestOfReply(source: ByteSource, head: ReplyHead): Promise<string> {
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
  if (status === undefined) throw new SyntaxError("not an HTTP reply");
  const bodyBytes = /^content-length:[ \t]*(\d{1,9})[ \t]*$/im.exec(head)?.[1];
  const isChunked = /^transfer-encoding:.*\bchunked[ \t]*$/im.test(head);
  return {
    status: Number(status),
    isChunked,
    ...(bodyBytes !== undefined && { bodyBytes: Number(bodyBytes) }),
  };
}
