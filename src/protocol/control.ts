/**
 * What crosses the control socket: one request line, one reply line, then the connection ends.
 *
 *     {"v":1,"op":"status"}
 *     {"ok":true,"result":{…}}   or   {"ok":false,"error":{"code":"not_found","message":"…"}}
 *
 * Both sides ignore fields they do not know, so either may be the newer one within a major version of the protocol.
 */
import * as v from "valibot";
import { decodeLine } from "./jsonl.ts";
import { PROTOCOL_VERSION } from "./version.ts";
import { healthStatusSchema } from "./wire_event.ts";

const rfc3339 = v.pipe(v.string(), v.isoTimestamp());
const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** One schema for each operation. */
const requestSchemas = {
  "status": v.object({ v: v.literal(PROTOCOL_VERSION), op: v.literal("status") }),
  "containers.list": v.object({ v: v.literal(PROTOCOL_VERSION), op: v.literal("containers.list") }),
} as const;

/** The name of an operation. */
export type ControlOp = keyof typeof requestSchemas;

/** The request of one operation. */
export type ControlRequestOf<Op extends ControlOp> = v.InferOutput<(typeof requestSchemas)[Op]>;

/** Any request, validated. */
export type ControlRequest = { [Op in ControlOp]: ControlRequestOf<Op> }[ControlOp];

/** What the daemon knows of itself and of its engine. */
export const statusResultSchema = v.object({
  /** apex's own version, `0.1.0` for example. */
  version: v.string(),
  /** The control protocol's version. */
  protocol: v.number(),
  pid: count,
  startedAt: rfc3339,
  uptimeMs: v.pipe(v.number(), v.minValue(0)),
  engine: v.object({
    state: v.picklist(["connecting", "connected", "disconnected"]),
    /** Known from the first connection on. */
    kind: v.optional(v.picklist(["docker", "podman", "embedded"])),
    version: v.optional(v.string()),
    /** Path of the engine's socket. */
    socket: v.string(),
    /** What made apex take that one: `--engine`, `DOCKER_HOST`, `context "x"`, `default` … */
    source: v.string(),
    /** Why it is not connected. */
    error: v.optional(v.string()),
  }),
  /** Paths of the daemon's own sockets. */
  sockets: v.object({ control: v.string(), events: v.string() }),
  /** Connected to the events socket now. */
  subscribers: count,
  /** Since the daemon's start. */
  eventsPublished: count,
  /** Disconnected for being too slow, since the daemon's start. */
  subscribersDropped: count,
  /** The log in memory: its size, and the sequence numbers of its oldest and its newest event (0: none yet). */
  log: v.object({ bytes: count, oldest: count, head: count }),
});

export type StatusResult = v.InferOutput<typeof statusResultSchema>;

/** One container, as rich as the events that tell of it. */
export const containerSchema = v.object({
  /** The engine's full id. */
  id: v.string(),
  /** Without the leading slash. */
  name: v.string(),
  image: v.string(),
  /** `created`, `running`, `paused`, `restarting`, `exited` …: the engine's own word. */
  state: v.string(),
  taskId: v.optional(v.string()),
  health: v.optional(healthStatusSchema),
  /** Of its last run, when that has ended. */
  exitCode: v.optional(v.number()),
  labels: v.record(v.string(), v.string()),
  createdAt: v.optional(rfc3339),
  startedAt: v.optional(rfc3339),
  finishedAt: v.optional(rfc3339),
});

export type ContainerResult = v.InferOutput<typeof containerSchema>;

export const containersListResultSchema = v.object({
  containers: v.array(containerSchema),
  /** `disconnected`: they are as they were when the engine was last heard. */
  engine: v.picklist(["connected", "disconnected"]),
});

export type ContainersListResult = v.InferOutput<typeof containersListResultSchema>;

/** The schema of each operation's result. */
export const resultSchemas = {
  "status": statusResultSchema,
  "containers.list": containersListResultSchema,
} as const;

/** The result of one operation. */
export type ControlResultOf<Op extends ControlOp> = v.InferOutput<(typeof resultSchemas)[Op]>;

/** What kind of failure a reply tells of. A client takes a word it does not know for `failed`. */
export type ControlErrorCode =
  | "usage"
  | "protocol"
  | "engine"
  | "not_found"
  | "busy"
  | "conflict"
  | "timeout"
  | "failed";

export interface ControlError {
  readonly code: ControlErrorCode;
  /** For the person at the terminal: what failed, why, what to do. */
  readonly message: string;
}

/** A reply, as the daemon sends it. */
export type ControlReply =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: ControlError };

/** A reply, as a client finds it: the code may be one of a newer daemon. */
export const replySchema = v.variant("ok", [
  v.object({ ok: v.literal(true), result: v.unknown() }),
  v.object({ ok: v.literal(false), error: v.object({ code: v.string(), message: v.string() }) }),
]);

/** What a request line turned out to be. */
export type DecodedRequest =
  | { readonly request: ControlRequest }
  | { readonly error: ControlError };

/** The request on a line, or the error to reply with. Never throws for what a client may send. */
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
    return refusal(
      "protocol",
      `this daemon speaks control protocol ${PROTOCOL_VERSION}, the request is of ${version}`,
    );
  }
  if (!isControlOp(op)) {
    return refusal("usage", `no such operation: ${JSON.stringify(op)} (there are: ${OPS.join(", ")})`);
  }
  const request = v.safeParse(requestSchemas[op], value);
  if (!request.success) return refusal("usage", `${op}: ${v.summarize(request.issues)}`);
  return { request: request.output };
}

const OPS = Object.keys(requestSchemas);

function isControlOp(op: string): op is ControlOp {
  return Object.hasOwn(requestSchemas, op);
}

function refusal(code: ControlErrorCode, message: string): DecodedRequest {
  return { error: { code, message } };
}
