/** What every exchange on the control socket begins with: one request line, one reply line. */
import * as v from "valibot";
import { ApexError, type ErrorCode, EXIT_STATUS, messageOf } from "../platform/apex_error.ts";
import {
  type ControlOp,
  type ControlRequestOf,
  type ControlResultOf,
  replySchema,
  resultSchemas,
} from "../protocol/control.ts";
import { decodeLine, encodeLine, readLine } from "../protocol/jsonl.ts";
import { PROTOCOL_VERSION } from "../protocol/version.ts";
import { RefusedError } from "./refused_error.ts";

/** What an operation is asked with, beside its name; `{}` where it takes nothing. */
export type ControlParamsOf<Op extends ControlOp> = keyof RequestFieldsOf<Op> extends never
  ? Readonly<Record<string, never>>
  : RequestFieldsOf<Op>;

type RequestFieldsOf<Op extends ControlOp> = Omit<ControlRequestOf<Op>, "v" | "op">;

export interface Exchange<Op extends ControlOp> {
  readonly op: Op;
  readonly params: ControlParamsOf<Op>;
  /** For messages. */
  readonly socketPath: string;
  /** The longest reply that is taken. */
  readonly maxReplyBytes: number;
}

/** The daemon's answer. */
export interface Answer<Op extends ControlOp> {
  readonly result: ControlResultOf<Op>;
  /** What has come already behind the reply line. */
  readonly rest: Uint8Array;
}

/**
 * Asks on a fresh connection and reads the answer, validated.
 *
 * @throws {RefusedError} the daemon's own error. {ApexError} `protocol` when the peer is no apex daemon, or one of another
 * major version, or is gone before it answered (the cause is then `UnexpectedEof` or `ConnectionReset`).
 */
export async function exchange<Op extends ControlOp>(
  conn: Deno.Conn,
  { op, params, socketPath, maxReplyBytes }: Exchange<Op>,
): Promise<Answer<Op>> {
  try {
    await writeRequest(conn, encodeLine({ v: PROTOCOL_VERSION, op, ...params }));
    const framed = await readLine(conn, { maxBytes: maxReplyBytes });
    if (framed === null) throw new Deno.errors.UnexpectedEof("the connection ended without one");
    return { result: resultOf(op, decodeLine(framed.line), socketPath), rest: framed.rest };
  } catch (error) {
    if (error instanceof ApexError) throw error;
    throw new ApexError("protocol", `no valid reply from ${socketPath}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Closes what may have been closed already, by the other of the two that may. */
export function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
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
  if (!reply.ok) throw new RefusedError(knownCode(reply.error.code), reply.error.message);
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
