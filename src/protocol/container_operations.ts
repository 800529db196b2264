/**
 * The operations `containers.*`. A `target` is a task id, one run of it (`build-7@2`), the name of a container, or its id or a
 * prefix of that.
 */
import * as v from "valibot";
import { count, declareOperations, epochMs, name, rfc3339 } from "./operation.ts";
import { outputPositionSchema, taskSchema } from "./task_operations.ts";
import { healthStatusSchema } from "./wire_event.ts";

/** What `containers.wait` can wait for. */
export const WAIT_CONDITIONS = ["exit", "running", "healthy", "unhealthy", "removed"] as const;

export type WaitCondition = (typeof WAIT_CONDITIONS)[number];

/** One container, with everything that its events report. */
export const containerSchema = v.object({
  /** The engine's full id. */
  id: v.string(),
  /** Without the leading slash. */
  name: v.string(),
  image: v.string(),
  /** The engine's word: `created`, `running`, `paused`, `restarting`, `exited` … */
  state: v.string(),
  taskId: v.optional(v.string()),
  health: v.optional(healthStatusSchema),
  /** Of the last run, if it has ended. */
  exitCode: v.optional(v.number()),
  labels: v.record(v.string(), v.string()),
  createdAt: v.optional(rfc3339),
  startedAt: v.optional(rfc3339),
  endedAt: v.optional(rfc3339),
});

export type ContainerResult = v.InferOutput<typeof containerSchema>;

/** How the daemon resolved a target. */
const resolvedTarget = {
  /** The target that names exactly this: one run of a task id (`build-7@2`), or a container's name. */
  target: v.string(),
  /** Further runs and containers of that task id, each usable as a target, newest first. */
  others: v.optional(v.array(v.string())),
};

/** The output of a task that apex stored before it removed the task's container. */
export const keptOutputSchema = v.object({
  /** Size of the stored output, which is the end of the whole. */
  bytes: count,
  /** The beginning is missing; in `containers.logs`: the beginning of what the client asked for. */
  isCut: v.boolean(),
  /** Why nothing is stored, for people. */
  missing: v.optional(v.string()),
});

export type KeptOutputFacts = v.InferOutput<typeof keptOutputSchema>;

/** Payload of the `exit` frame of `containers.wait`. */
export const waitEndSchema = v.object({
  /** The task, if the target is a task and the condition is `exit`. */
  task: v.optional(taskSchema),
  /** Of the container's last run, if the target is another container and the condition is `exit`. */
  exitCode: v.optional(v.number()),
  /** Why the condition can no longer be met. */
  error: v.optional(v.string()),
});

export type WaitEnd = v.InferOutput<typeof waitEndSchema>;

/** Payload of the `exit` frame of `containers.logs`. `error`: why the output ends early. */
export const logsEndSchema = v.object({ error: v.optional(v.string()) });

export const containerOperations = declareOperations({
  "containers.list": {
    description: "Lists the containers of the engine.",
    kind: "reply",
    http: { method: "GET", path: "/v1/containers" },
    request: {},
    result: v.object({
      containers: v.array(containerSchema),
      /** `disconnected`: the containers are listed as they were when the connection was lost. */
      engine: v.picklist(["connected", "disconnected"]),
    }),
  },
  "containers.inspect": {
    description: "Describes a task or a container in full.",
    kind: "reply",
    http: { method: "GET", path: "/v1/containers/:target" },
    request: { target: name },
    result: v.object({
      ...resolvedTarget,
      /** The engine's description; empty if the container was removed. */
      engine: v.record(v.string(), v.unknown()),
      container: v.optional(containerSchema),
      task: v.optional(taskSchema),
      /** If the container of the task was removed. */
      output: v.optional(keptOutputSchema),
    }),
  },
  "containers.logs": {
    description: "Sends the output of a task or a container.",
    kind: "frames",
    http: { method: "GET", path: "/v1/containers/:target/logs" },
    request: {
      target: name,
      follow: v.optional(v.boolean()),
      /** The last lines; all of them by default. */
      tail: v.optional(count),
      sinceMs: v.optional(epochMs),
      timestamps: v.optional(v.boolean()),
      /** To continue an earlier stream: `start` of its reply, in place of `tail` and `sinceMs`. */
      start: v.optional(v.pipe(v.string(), v.regex(/^\d{1,12}\.\d{9}$/))),
      /** To continue an earlier stream: skips the bytes that the client has received. */
      received: v.optional(outputPositionSchema),
    },
    result: v.object({
      ...resolvedTarget,
      /** Absent if the container was removed. */
      containerId: v.optional(v.string()),
      /** With `follow` and `tail`: where the output begins, to continue from there. */
      start: v.optional(v.string()),
      /** The output comes from apex's database, not from the engine. */
      kept: v.optional(keptOutputSchema),
    }),
  },
  "containers.wait": {
    description: "Waits until a task or a container meets a condition, or no longer can.",
    kind: "frames",
    http: { method: "GET", path: "/v1/containers/:target/wait" },
    request: {
      target: name,
      /** `exit` by default. */
      for: v.optional(v.picklist(WAIT_CONDITIONS)),
    },
    result: v.object({ ...resolvedTarget, containerId: v.optional(v.string()) }),
  },
});
