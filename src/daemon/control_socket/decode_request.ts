/** From a line on the control socket to a request, or to the reason why it is none. */
import * as v from "valibot";
import { closestName } from "../../platform/closest_name.ts";
import {
  type ControlError,
  type ControlErrorCode,
  type ControlOp,
  type ControlRequest,
  requestSchemas,
} from "../../protocol/control.ts";
import { decodeLine } from "../../protocol/jsonl.ts";
import { PROTOCOL_VERSION, VERSION } from "../../protocol/version.ts";
import { requestProblems } from "./request_problems.ts";

/** What a request line turned out to be. */
export type DecodedRequest =
  | { readonly request: ControlRequest }
  | { readonly error: ControlError };

/**
 * The request on a line, or the error to reply with. Never throws for anything that a client may send. `status` and `stop`
 * are taken from clients of every protocol, which must be able to find out what runs, and to end it.
 */
export function decodeRequest(line: Uint8Array): DecodedRequest {
  let value: unknown;
  try {
    value = decodeLine(line);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    return refusal("protocol", `the request is not JSON in UTF-8: ${error.message}`);
  }
  const envelope = v.safeParse(v.object({ v: v.number(), op: v.string() }), value);
  if (!envelope.success) {
    return refusal("protocol", `the request is not of the form {"v":${PROTOCOL_VERSION},"op":"…"}`);
  }
  const { v: version, op } = envelope.output;
  if (version !== PROTOCOL_VERSION) {
    if (op === "status" || op === "stop") return { request: { v: PROTOCOL_VERSION, op } };
    return refusal(
      "protocol",
      `the daemon (pid ${Deno.pid}) is apex ${VERSION} and speaks control protocol ${PROTOCOL_VERSION}, the request ` +
        `is of protocol ${version}; restart the daemon with the client's version: apex restart`,
    );
  }
  if (!isControlOp(op)) return refusal("usage", `no such operation: ${JSON.stringify(op)} (${hint(op)})`);
  const schema = requestSchemas[op];
  const request = v.safeParse(schema, value);
  if (!request.success) return refusal("usage", `${op}: ${requestProblems(schema, request.issues)}`);
  return { request: request.output };
}

const OPS = Object.keys(requestSchemas);

function isControlOp(op: string): op is ControlOp {
  return Object.hasOwn(requestSchemas, op);
}

function hint(op: string): string {
  const meant = closestName(op, OPS);
  return meant === undefined
    ? `the operations are: ${OPS.join(", ")}`
    : `did you mean ${JSON.stringify(meant)}?`;
}

function refusal(code: ControlErrorCode, message: string): DecodedRequest {
  return { error: { code, message } };
}
