/**
 * Decodes a line on the control socket to a request, or to an error that names each invalid field:
 * `task.env must be an object of strings, not an array`.
 */
import * as v from "valibot";
import { closestName } from "../../platform/closest_name.ts";
import {
  type ControlError,
  type ControlErrorCode,
  type ControlOp,
  type ControlRequest,
  OPERATIONS,
} from "../../protocol/operations.ts";
import { decodeLine } from "../../protocol/jsonl.ts";
import { PROTOCOL_VERSION, VERSION } from "../../protocol/version.ts";

/** A valid request, or the error to reply with. */
export type DecodedRequest =
  | { readonly request: ControlRequest }
  | { readonly error: ControlError };

/**
 * Decodes a request line. Never throws, whatever the client has sent. `status` and `stop` are accepted from clients of every
 * protocol, so that each of them can find out which daemon runs, and end it.
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
  const schema = OPERATIONS[op].request;
  const request = v.safeParse(schema, value);
  if (!request.success) return refusal("usage", `${op}: ${requestProblems(schema, request.issues)}`);
  return { request: request.output };
}

const OPS = Object.keys(OPERATIONS);

function isControlOp(op: string): op is ControlOp {
  return Object.hasOwn(OPERATIONS, op);
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

type Issue = v.BaseIssue<unknown>;

/** The parts of a valibot schema that describe a value. The schema of a pipe has those of its first step. */
interface Schema {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly wrapped?: Schema;
  readonly item?: Schema;
  readonly value?: Schema;
}

/** A request can have as many problems as fields; the first few are enough for a reader. */
const MAX_PROBLEMS = 5;
/** Longer values and paths are cut in a message. */
const MAX_SHOWN_LENGTH = 60;
/** Suffixes of field names that a client may forget: for `memory`, the message suggests `memoryBytes`. */
const UNIT = /(Ms|Bytes|Limit|Dir)$/;

/** The problems on one line, each with the path of its field. */
function requestProblems(schema: v.GenericSchema, issues: readonly Issue[]): string {
  const shown = issues.slice(0, MAX_PROBLEMS).map((issue) => problem(schema as unknown as Schema, issue));
  const rest = issues.length - shown.length;
  return [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join("; ");
}

function problem(root: Schema, issue: Issue): string {
  const path = shortened(v.getDotPath(issue) ?? "the request");
  if (issue.kind === "validation") return `${path} ${violation(issue)}`;
  const keys = issue.path?.map(({ key }) => String(key)) ?? [];
  const schema = schemaAt(root, keys);
  if (issue.expected === "never") {
    const parent = schemaAt(root, keys.slice(0, -1));
    if (parent?.entries === undefined) return `${path} is not a possible name`;
    return unknownField(path, { key: keys.at(-1) ?? "", known: Object.keys(parent.entries) });
  }
  if (issue.received === "undefined") return `${path} is missing`;
  return `${path} must be ${description(schema, issue)}, not ${shownValue(issue.input)}`;
}

function unknownField(path: string, { key, known }: { key: string; known: readonly string[] }): string {
  const unknown = `${path} is not a field that this daemon knows`;
  const names = known.flatMap((name) => [name, name.replace(UNIT, "")]);
  const meant = closestName(key, names);
  const index = meant === undefined ? -1 : names.indexOf(meant);
  const name = known[Math.floor(index / 2)];
  return name === undefined
    ? `${unknown} (it knows: ${known.join(", ")})`
    : `${unknown} (did you mean ${JSON.stringify(name)}?)`;
}

/** The schema of the value at a path; undefined for a path through an unknown field. */
function schemaAt(root: Schema, path: readonly string[]): Schema | undefined {
  let schema: Schema | undefined = unwrapped(root);
  for (const key of path) schema = unwrapped(schema?.entries?.[key] ?? schema?.item ?? schema?.value);
  return schema;
}

function unwrapped(schema: Schema | undefined): Schema | undefined {
  return schema?.wrapped === undefined ? schema : unwrapped(schema.wrapped);
}

function description(schema: Schema | undefined, { expected }: Issue): string {
  switch (schema?.type) {
    case "strict_object":
      return "an object";
    case "record":
      return "an object of strings";
    case "array":
      return `an array of ${schema.item?.type === "string" ? "strings" : "objects"}`;
    case "string":
    case "number":
      return `a ${schema.type}`;
    case "boolean":
      return "true or false";
    default:
      return (expected ?? "something else").replace(/^\((.*)\)$/, "$1").replaceAll(" | ", " or ")
        .replace(/\bnumber\b/, "a number").replace(/\bArray\b/, "an array");
  }
}

/** Describes a value that has the right type and an invalid value. A schema's own message is a predicate like these. */
function violation({ type, requirement, input, message }: Issue): string {
  switch (type) {
    case "min_length":
      return requirement === 1 ? "must not be empty" : `must have at least ${requirement} ${unitOf(input)}`;
    case "max_length":
      return `must not have more than ${requirement} ${unitOf(input)}`;
    case "integer":
      return `must be a whole number, not ${shownValue(input)}`;
    case "finite":
      return "must be finite";
    case "min_value":
      return `must be at least ${requirement}, not ${shownValue(input)}`;
    case "max_value":
      return `must be at most ${requirement}, not ${shownValue(input)}`;
    case "gt_value":
      return `must be greater than ${requirement}, not ${shownValue(input)}`;
    default:
      return message;
  }
}

function unitOf(input: unknown): string {
  return Array.isArray(input) ? "items" : "characters";
}

function shownValue(input: unknown): string {
  if (Array.isArray(input)) return "an array";
  if (typeof input === "object" && input !== null) return "an object";
  return shortened(JSON.stringify(input));
}

function shortened(text: string): string {
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}…` : text;
}
