/** What every exchange on the control socket begins with: one request line, one reply line. */
import * as v from "valibot";
import { ApexError, type ErrorCode, EXIT_STATUS, messageOf } from "../platform/apex_error.ts";
import { writeAll } from "../platform/unix_socket.ts";
import {
  type ControlOp,
  type ControlRequestOf,
  type ControlResultOf,
  replySchema,
  resultSchemas,
} from "../protocol/control.ts";
import { decodeLine, encodeLine, readLine } from "../protocol/jsonl.ts";
import { PROTOCOL_VERSION, VERSION } from "../protocol/version.ts";
import { RefusedError } from "./refused_error.ts";

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
