import { ApexError } from "../platform/apex_error.ts";
import { closeQuietly } from "../platform/unix_socket.ts";
import type { ControlOp, ControlResultOf } from "../protocol/control.ts";
import { MAX_REPLY_BYTES } from "../protocol/jsonl.ts";
import { connect } from "./connect.ts";
import { type ControlParamsOf, type Exchange, exchange, resultOf } from "./control_exchange.ts";

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
