/**
 * What crosses the control socket: one request line, one reply line, then the connection ends.
 *
 *     {"v":1,"op":"status"}
 *     {"ok":true,"result":{…}}   or   {"ok":false,"error":{"code":"not_found","message":"…"}}
 *
 * The daemon refuses a request with a field that it does not know (`request_schema.ts`), so that nothing that was asked for is
 * silently left out. A client ignores the fields of a reply that it does not know.
 */
import * as v from "valibot";
import { eventRequestSchemas, eventResultSchemas } from "./event_messages.ts";
import { labelsSchema, portsSchema, requestSchema, strictObject, stringRecord } from "./request_schema.ts";
import { sessionRequestSchemas, sessionResultSchemas } from "./session_messages.ts";
import { WAIT_CONDITIONS } from "./wait_condition.ts";
import { healthStatusSchema } from "./wire_event.ts";

const rfc3339 = v.pipe(v.string(), v.isoTimestamp());
const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const name = v.pipe(v.string(), v.minLength(1), v.maxLength(256));
const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));

/** What `tasks.run` is asked to run; sizes in bytes, times in milliseconds. */
export const taskSpecSchema = strictObject({
  taskId: v.optional(v.string()),
  /** Absent: the one of the daemon's configuration. */
  image: v.optional(name),
  cmd: v.optional(v.array(v.string())),
  entrypoint: v.optional(v.array(v.string())),
  env: v.optional(stringRecord(v.string())),
  mounts: v.optional(
    v.array(strictObject({ source: name, target: name, readOnly: v.optional(v.boolean()) })),
  ),
  workdir: v.optional(v.string()),
  user: v.optional(v.string()),
  network: v.optional(v.string()),
  labels: v.optional(labelsSchema),
  ports: v.optional(portsSchema),
  /** All, how many, or which. */
  gpus: v.optional(v.union([
    v.literal("all"),
    v.pipe(v.number(), v.integer(), v.minValue(1)),
    v.pipe(v.array(name), v.minLength(1)),
  ])),
  /** When the image is pulled; `missing` by default. */
  pull: v.optional(v.picklist(["missing", "always", "never"])),
  /** The client sends standard input as frames `data`, and its end as `eof`. */
  stdin: v.optional(v.boolean()),
  cpus: v.optional(positive),
  memoryBytes: v.optional(v.pipe(positive, v.integer())),
  pidsLimit: v.optional(v.pipe(positive, v.integer())),
  /** Whether the engine's init is process 1; absent: where the engine has one. */
  init: v.optional(v.boolean()),
  timeoutMs: v.optional(positive),
  projectDir: v.optional(v.string()),
  keep: v.optional(v.boolean()),
  keepOnFailure: v.optional(v.boolean()),
});

export type TaskSpecRequest = v.InferOutput<typeof taskSpecSchema>;

/** Where an instance is named: that of the containers of an apex that did not have ids yet. */
export const NO_INSTANCE = "-";

/** How many bytes of each stream of some output a client has received: it continues behind them. */
const outputPositionSchema = strictObject({ stdout: count, stderr: count });

export type OutputPosition = v.InferOutput<typeof outputPositionSchema>;

/** Made up by the client that begins a task: by it, that client asks for this very task again when it has lost its daemon. */
const requestId = v.optional(name);

/** One schema for each operation. */
export const requestSchemas = {
  "status": requestSchema("status", {}),
  /** Ends the daemon, cleanly, once it has replied. */
  "stop": requestSchema("stop", {}),
  "containers.list": requestSchema("containers.list", {}),
  /** `target`: a task's id, or a container's name or id. */
  "containers.inspect": requestSchema("containers.inspect", { target: name }),
  "containers.logs": requestSchema("containers.logs", {
    target: name,
    follow: v.optional(v.boolean()),
    /** Lines before now; all of them by default. */
    tail: v.optional(count),
    /** Milliseconds since the Unix epoch. */
    sinceMs: v.optional(v.pipe(v.number(), v.finite(), v.minValue(0))),
    timestamps: v.optional(v.boolean()),
    /** Instead of `tail` and `sinceMs`, to continue: as an earlier reply had it. */
    start: v.optional(v.pipe(v.string(), v.regex(/^\d{1,12}\.\d{9}$/))),
    /** To continue: leaves out what was received before. */
    received: v.optional(outputPositionSchema),
  }),
  /** Until the task or container is as `for` says; `exit` by default. */
  "containers.wait": requestSchema("containers.wait", {
    target: name,
    for: v.optional(v.picklist(WAIT_CONDITIONS)),
  }),
  /** With the id and the `requestId` of a task that was begun before, it follows that one and begins none. */
  "tasks.run": requestSchema("tasks.run", { task: taskSpecSchema, requestId }),
  /** `all`: ended ones too. */
  "tasks.list": requestSchema("tasks.list", { all: v.optional(v.boolean()) }),
  "tasks.cancel": requestSchema("tasks.cancel", { task: name }),
  "tasks.signal": requestSchema("tasks.signal", { task: name, signal: name }),
  "tasks.wait": requestSchema("tasks.wait", {
    task: name,
    /** Only the task that was begun by this request, not a later one of the same id. */
    requestId,
    /** Sends the task's output, too, from here on. */
    output: v.optional(outputPositionSchema),
  }),
  /** `all`: also those that other apex instances created. */
  "workspaces.list": requestSchema("workspaces.list", { all: v.optional(v.boolean()) }),
  /**
   * Removes these containers (names or ids), orphans or kept ones; by default all orphans. With `instance` of another apex
   * instance (or {@linkcode NO_INSTANCE}), those that it created for tasks, by default all of them.
   */
  "workspaces.clean": requestSchema("workspaces.clean", {
    names: v.optional(v.array(name)),
    instance: v.optional(name),
  }),
  ...sessionRequestSchemas,
  ...eventRequestSchemas,
} as const;

/** The name of an operation. */
export type ControlOp = keyof typeof requestSchemas;

/** Those whose reply line frames follow (`frames.ts`). The end of the client's input ends the stream, and nothing else. */
export const STREAM_OPS = [
  "containers.logs",
  "containers.wait",
  "tasks.run",
  "tasks.wait",
  "sessions.attach",
] as const satisfies readonly ControlOp[];

export type StreamOp = (typeof STREAM_OPS)[number];

export function isStreamOp(op: ControlOp): op is StreamOp {
  return (STREAM_OPS as readonly ControlOp[]).includes(op);
}

/** Those whose reply line further lines follow (`event_messages.ts`). The end of the client's input ends them, too. */
export const LINE_OPS = ["events.subscribe", "events.history"] as const satisfies readonly ControlOp[];

export type LineOp = (typeof LINE_OPS)[number];

export function isLineOp(op: ControlOp): op is LineOp {
  return (LINE_OPS as readonly ControlOp[]).includes(op);
}

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
  /** Its id, the label `apex.instance` of each container that it creates; absent from daemons older than ids. */
  instance: v.optional(v.string()),
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
  /** Connected now: to the events socket, and by `events.subscribe`. */
  subscribers: count,
  /** Since the daemon's start. */
  eventsPublished: count,
  /** Disconnected for being too slow, since the daemon's start. */
  subscribersDropped: count,
  /** The log in memory: its size, and the sequence numbers of its oldest and its newest event (0: none yet). */
  log: v.object({
    bytes: count,
    oldest: count,
    head: count,
    /** With a number it makes a cursor, `<epoch>:<number>`; absent from daemons older than cursors. */
    epoch: v.optional(v.string()),
  }),
  /** Where its state and its configuration are; `log` where it runs in the background. Absent from older daemons. */
  paths: v.optional(v.object({ state: v.string(), config: v.string(), log: v.optional(v.string()) })),
  /** The options that it was started with, paths absolute: `apex restart` repeats them. Absent from older daemons. */
  flags: v.optional(v.array(v.string())),
  /** Absent from daemons older than sessions. */
  sessions: v.optional(v.object({ attached: count, detached: count })),
  /** Tasks that have not ended; absent from daemons older than tasks. */
  tasks: v.optional(v.object({ running: count, pending: count })),
  /** `degraded`: what changes is not kept beyond the daemon's life; `error` says why. */
  storage: v.optional(v.object({ state: v.picklist(["ok", "degraded"]), error: v.optional(v.string()) })),
  /**
   * Where events are kept. `degraded`: what happens now is not journaled, `error` says why; `off`: as it is configured.
   * `oldest`: number of the oldest event that can be resumed from; `bytes`: what the database takes on disk.
   */
  journal: v.optional(v.object({
    state: v.picklist(["ok", "degraded", "off"]),
    error: v.optional(v.string()),
    oldest: count,
    bytes: count,
  })),
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

/** One task, as rich as the events that tell of it. */
export const taskSchema = v.object({
  taskId: v.string(),
  /** Which run of its id it is, from 1 on; absent from daemons that keep only the last. */
  run: v.optional(count),
  state: v.picklist(["pending", "running", "completed", "failed", "cancelled"]),
  reason: v.optional(v.picklist(["exit", "oom", "signal", "timeout", "lost", "error"])),
  exitCode: v.optional(v.number()),
  error: v.optional(v.string()),
  image: v.string(),
  cmd: v.array(v.string()),
  containerId: v.optional(v.string()),
  workspacePath: v.optional(v.string()),
  createdAt: rfc3339,
  startedAt: v.optional(rfc3339),
  endedAt: v.optional(rfc3339),
});

export type TaskResult = v.InferOutput<typeof taskSchema>;

/** A container that apex made for a task. */
export const workspaceSchema = v.object({
  taskId: v.string(),
  /** The id of the apex instance that created it; absent: an apex that did not have ids yet. */
  instance: v.optional(v.string()),
  containerId: v.optional(v.string()),
  containerName: v.string(),
  /** The engine's own word. */
  state: v.optional(v.string()),
  workspacePath: v.optional(v.string()),
  /** No task that apex knows has it: `workspaces.clean` removes it. */
  orphaned: v.boolean(),
  /** Its task has ended and was to leave it: `workspaces.clean` removes it where it is named. */
  kept: v.optional(v.boolean()),
  /** Another apex instance created it: `workspaces.clean` removes it where that instance is named. */
  foreign: v.optional(v.boolean()),
  createdAt: v.optional(rfc3339),
});

export type WorkspaceResult = v.InferOutput<typeof workspaceSchema>;

/** What a target turned out to be; absent from older daemons. */
const resolvedTarget = {
  /** The target that names exactly this: one run of a task id (`build-7@2`), or a container's name. */
  target: v.optional(v.string()),
  /** What else has the task id that was asked for, each a target of its own, newest first. */
  others: v.optional(v.array(v.string())),
};

/** What is kept of a task's output when its container was removed. */
const keptOutputSchema = v.object({
  /** Of the output; the last ones that it had. */
  bytes: count,
  /** The beginning is missing; `containers.logs`: of what was asked for. */
  isCut: v.boolean(),
  /** Why nothing is kept, for people. */
  missing: v.optional(v.string()),
});

export type KeptOutputFacts = v.InferOutput<typeof keptOutputSchema>;

/**
 * The schema of each operation's result. After the reply line of `containers.logs`, `tasks.run` and `tasks.wait` frames
 * follow (`frames.ts`), the last of which is `exit`.
 */
export const resultSchemas = {
  "status": statusResultSchema,
  "stop": v.object({ pid: count }),
  "containers.list": containersListResultSchema,
  /** The engine's own description, and apex's. */
  "containers.inspect": v.object({
    ...resolvedTarget,
    engine: v.record(v.string(), v.unknown()),
    container: v.optional(containerSchema),
    task: v.optional(taskSchema),
    /** Where its container was removed. */
    output: v.optional(keptOutputSchema),
  }),
  "containers.logs": v.object({
    ...resolvedTarget,
    /** Absent where the container was removed. */
    containerId: v.optional(v.string()),
    /** With `follow` and `tail`: where it begins, to continue there. */
    start: v.optional(v.string()),
    /** The output is not the engine's, but what was kept of it. */
    kept: v.optional(keptOutputSchema),
  }),
  "containers.wait": v.object({ ...resolvedTarget, containerId: v.optional(v.string()) }),
  "tasks.run": v.object({
    taskId: v.string(),
    /** The daemon's engine, as `--engine` takes it: only a daemon on the same one knows the task. */
    engine: v.optional(v.string()),
  }),
  "tasks.list": v.object({ tasks: v.array(taskSchema) }),
  "tasks.cancel": v.object({ task: taskSchema }),
  "tasks.signal": v.object({}),
  "tasks.wait": v.object({ taskId: v.string() }),
  "workspaces.list": v.object({ workspaces: v.array(workspaceSchema) }),
  "workspaces.clean": v.object({
    removed: v.array(v.string()),
    failed: v.array(v.object({ name: v.string(), error: v.string() })),
  }),
  ...sessionResultSchemas,
  ...eventResultSchemas,
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
