/** The operations `tasks.*` and `workspaces.*`: a workspace is the container that apex creates for a task. */
import * as v from "valibot";
import {
  atLeastOne,
  count,
  declareOperations,
  labelsSchema,
  name,
  portsSchema,
  rfc3339,
  strictObject,
  stringRecord,
} from "./operation.ts";

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));

/** The task that a client asks for. Sizes are in bytes, times in milliseconds. */
export const taskSpecSchema = strictObject({
  /** Chosen by the daemon by default. */
  taskId: v.optional(v.string()),
  /** From the daemon's configuration by default. */
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
  /** All, a number of them, or the ids of some. */
  gpus: v.optional(v.union([v.literal("all"), atLeastOne, v.pipe(v.array(name), v.minLength(1))])),
  /** When the engine pulls the image; `missing` by default. */
  pull: v.optional(v.picklist(["missing", "always", "never"])),
  /** The client sends standard input as `data` frames, and its end as `eof`. */
  stdin: v.optional(v.boolean()),
  cpus: v.optional(positive),
  memoryBytes: v.optional(v.pipe(positive, v.integer())),
  pidsLimit: v.optional(v.pipe(positive, v.integer())),
  /** Whether the engine's init is process 1; by default, if the engine has one. */
  init: v.optional(v.boolean()),
  timeoutMs: v.optional(positive),
  projectDir: v.optional(v.string()),
  keep: v.optional(v.boolean()),
  keepOnFailure: v.optional(v.boolean()),
});

export type TaskSpecRequest = v.InferOutput<typeof taskSpecSchema>;

/** Bytes of each output stream that a client has received: the daemon continues after them. */
export const outputPositionSchema = strictObject({ stdout: count, stderr: count });

export type OutputPosition = v.InferOutput<typeof outputPositionSchema>;

/** Chosen by the client that starts a task, unique: it finds that very task again through another daemon. */
const requestId = v.optional(name);

/** One run of a task, with everything that its events report. */
export const taskSchema = v.object({
  taskId: v.string(),
  /** The number of this run of the task id, from 1 on. */
  run: count,
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

/** Payload of a `progress` frame: the state of an image's pull, or of one of its layers. */
export const pullProgressSchema = v.object({
  image: v.string(),
  /** The engine's words: `Downloading`, `Pull complete` … */
  status: v.string(),
  layer: v.optional(v.string()),
  currentBytes: v.optional(v.pipe(v.number(), v.minValue(0))),
  totalBytes: v.optional(v.pipe(v.number(), v.minValue(0))),
});

export type PullProgressPayload = v.InferOutput<typeof pullProgressSchema>;

/** Payload of a `pending` frame. `ahead`: the number of tasks that must end first. */
export const pendingSchema = v.object({ ahead: v.pipe(v.number(), v.minValue(0)) });

/** Payload of the `exit` frame of `tasks.run` and `tasks.wait`. */
export const taskExitSchema = v.union([
  v.object({
    task: taskSchema,
    /** Why some of the output may be missing. */
    outputError: v.optional(v.string()),
  }),
  /** Why the daemon does not know how the task ended. */
  v.object({ error: v.string() }),
]);

/** A container that apex created for a task. */
export const workspaceSchema = v.object({
  taskId: v.string(),
  /** The id of the apex instance that created it; absent if the container has no label `apex.instance`. */
  instance: v.optional(v.string()),
  containerId: v.optional(v.string()),
  containerName: v.string(),
  /** The engine's word. */
  state: v.optional(v.string()),
  workspacePath: v.optional(v.string()),
  /** It belongs to no task that this daemon knows: `workspaces.clean` removes it. */
  orphaned: v.boolean(),
  /** Its task has ended and asked to keep it: `workspaces.clean` removes it only by name. */
  kept: v.optional(v.boolean()),
  /** Another apex instance created it: `workspaces.clean` removes it only with that `instance`. */
  foreign: v.optional(v.boolean()),
  createdAt: v.optional(rfc3339),
});

export type WorkspaceResult = v.InferOutput<typeof workspaceSchema>;

/** Names the containers of tasks without a label `apex.instance`, in place of an instance's id. */
export const NO_INSTANCE = "-";

export const taskOperations = declareOperations({
  "tasks.run": {
    description: "Runs a task, or continues with the task that the same `requestId` has started.",
    kind: "frames",
    http: { method: "POST", path: "/v1/tasks" },
    request: { task: taskSpecSchema, requestId },
    result: v.object({
      taskId: v.string(),
      /** The daemon's engine, as `--engine` takes it: only a daemon on this engine knows the task. */
      engine: v.optional(v.string()),
    }),
  },
  "tasks.list": {
    description: "Lists the tasks that have not ended, or all tasks, newest first.",
    kind: "reply",
    http: { method: "GET", path: "/v1/tasks" },
    request: { all: v.optional(v.boolean()) },
    result: v.object({ tasks: v.array(taskSchema) }),
  },
  "tasks.cancel": {
    description: "Cancels a task, and replies when it has ended.",
    kind: "reply",
    http: { method: "POST", path: "/v1/tasks/:task/cancel" },
    request: { task: name },
    result: v.object({ task: taskSchema }),
  },
  "tasks.signal": {
    description: "Sends a signal to a running task.",
    kind: "reply",
    http: { method: "POST", path: "/v1/tasks/:task/signal" },
    request: { task: name, signal: name },
    result: v.object({}),
  },
  "tasks.wait": {
    description: "Waits until a task has ended, and sends its output on request.",
    kind: "frames",
    http: { method: "GET", path: "/v1/tasks/:task/wait" },
    request: {
      task: name,
      /** Only the task that this request has started, not a later one of the same id. */
      requestId,
      /** Sends the output, too, after these bytes. */
      output: v.optional(outputPositionSchema),
    },
    result: v.object({ taskId: v.string() }),
  },
  "workspaces.list": {
    description: "Lists the containers that apex created for tasks.",
    kind: "reply",
    http: { method: "GET", path: "/v1/workspaces" },
    request: {
      /** Those of other apex instances, too. */
      all: v.optional(v.boolean()),
    },
    result: v.object({ workspaces: v.array(workspaceSchema) }),
  },
  "workspaces.clean": {
    description: "Removes orphaned containers of tasks, kept ones by name, or those of another instance.",
    kind: "reply",
    http: { method: "POST", path: "/v1/workspaces/clean" },
    request: {
      /** Names or ids; all orphans by default. */
      names: v.optional(v.array(name)),
      /** Removes containers that this other instance created, or those without one ({@linkcode NO_INSTANCE}). */
      instance: v.optional(name),
    },
    result: v.object({
      removed: v.array(v.string()),
      failed: v.array(v.object({ name: v.string(), error: v.string() })),
    }),
  },
});

/** Without characters that look alike. */
const TASK_ID_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789";
const TASK_ID_LENGTH = 8;

/** A random task id, `k3v9x2ab` for example; some 10¹² are possible. */
export function randomTaskId(): string {
  const random = crypto.getRandomValues(new Uint32Array(TASK_ID_LENGTH));
  return Array.from(random, (number) => TASK_ID_ALPHABET[number % TASK_ID_ALPHABET.length]).join("");
}
