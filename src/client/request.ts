import * as v from "valibot";
import { ApexError, type ErrorCode, EXIT_STATUS, messageOf } from "../platform/apex_error.ts";
import {
  type ControlOp,
  type ControlRequestOf,
  type ControlResultOf,
  replySchema,
  resultSchemas,
} from "../protocol/control.ts";
import { decodeLine, encodeLine, type FramedLine, MAX_REPLY_BYTES, readLine } from "../protocol/jsonl.ts";
import { PROTOCOL_VERSION } from "../protocol/version.ts";
import { connect } from "./connect.ts";

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole exchange. */
  readonly timeoutMs?: number;
}

/**
 * One operation on the control socket, its result validated.
 *
 * @throws {ApexError} the daemon's own error; `no_daemon`; `timeout`; `protocol` when the peer is no apex daemon, or one of
 * another major version. The signal's reason when that is aborted.
 */
export async function request<Op extends ControlOp>(
  socketPath: string,
  op: Op,
  options: RequestOptions = {},
): Promise<ControlResultOf<Op>> {
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
    const reply = await exchange(conn, { v: PROTOCOL_VERSION, op });
    return resultOf(op, reply, socketPath);
  } catch (error) {
    signal?.throwIfAborted();
    if (timedOut) {
      throw new ApexError("timeout", `the daemon at ${socketPath} did not answer ${op} in ${timeoutMs} ms`);
    }
    if (error instanceof ApexError) throw error;
    throw new ApexError("protocol", `no valid reply from ${socketPath}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", close);
  }
}

/** A daemon answers from memory; one that takes longer is stuck. */
const DEFAULT_TIMEOUT_MS = 10_000;

async function exchange(conn: Deno.Conn, body: ControlRequestOf<ControlOp>): Promise<unknown> {
  await writeRequest(conn, encodeLine(body));
  const framed: FramedLine | null = await readLine(conn, { maxBytes: MAX_REPLY_BYTES });
  if (framed === null) throw new Error("the connection ended without one");
  return decodeLine(framed.line);
}

async function writeRequest(conn: Deno.Conn, line: Uint8Array): Promise<void> {
  try {
    for (let sent = 0; sent < line.length;) sent += await conn.write(line.subarray(sent));
  } catch (error) {
    // A daemon that refuses a connection replies and closes without reading: its reply is there to be read.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

function resultOf<Op extends ControlOp>(op: Op, value: unknown, socketPath: string): ControlResultOf<Op> {
  const reply = v.parse(replySchema, value);
  if (!reply.ok) throw new ApexError(knownCode(reply.error.code), reply.error.message);
  refuseOtherProtocol(reply.result, socketPath);
  return v.parse(resultSchemas[op], reply.result) as ControlResultOf<Op>;
}

/** `status` says which protocol the daemon speaks: look at that before the rest, which may then be of another form. */
function refuseOtherProtocol(result: unknown, socketPath: string): void {
  const told = v.safeParse(v.object({ protocol: v.number(), version: v.string() }), result);
  if (told.success && told.output.protocol !== PROTOCOL_VERSION) {
    throw new ApexError(
      "protocol",
      `the daemon at ${socketPath} is apex ${told.output.version} and speaks control protocol ` +
        `${told.output.protocol}, this client ${PROTOCOL_VERSION}; restart it with this version of apex`,
    );
  }
}

function knownCode(code: string): ErrorCode {
  return Object.hasOwn(EXIT_STATUS, code) ? code as ErrorCode : "failed";
}

function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    // Closed already: by the other of the two that may.
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
