import { ApexError } from "../platform/apex_error.ts";
import { closeQuietly } from "../platform/unix_socket.ts";
import type { ControlResultOf, LineOp, StreamOp } from "../protocol/control.ts";
import { connect, type ConnectOptions } from "./connect.ts";
import { type Answer, type ControlParamsOf, exchange, resultOf } from "./control_exchange.ts";

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
