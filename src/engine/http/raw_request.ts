/**
 * A request written by hand, on a connection of its own, for what `fetch` cannot do: take the connection over (attach), or
 * bring many small chunks of a reply at once.
 */
import { messageOf } from "../../platform/apex_error.ts";
import { Deadline, DeadlineExceeded } from "../../platform/async/deadline.ts";
import { type Clock, systemClock } from "../../platform/clock.ts";
import { closeQuietly, writeAll } from "../../platform/socket_io.ts";
import { EngineError } from "./engine_error.ts";
import { readRefusal } from "./engine_refusal.ts";
import { readReplyHead, readRestOfReply, type ReplyHead } from "./reply_head.ts";

export interface RawRequest {
  readonly socketPath: string;
  readonly method: "GET" | "POST";
  /** Path and query, with the version. */
  readonly target: string;
  /** Beside `Host`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Gives up on the attempt. A reply that is here goes on without it. */
  readonly signal?: AbortSignal | undefined;
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
  const { socketPath, signal, clock = systemClock, timeoutMs = DEFAULT_TIMEOUT_MS } = request;
  signal?.throwIfAborted();
  const conn = await connect(socketPath);
  let isTaken = false;
  try {
    using deadline = new Deadline(timeoutMs, { clock, abort: signal });
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
