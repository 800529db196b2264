/**
 * The published events: one flat JSON object on each line, with `type` as the discriminator. EVENTS.md documents these schemas,
 * and a test compares the two. Within a major version, fields are only added.
 */
import * as v from "valibot";

const timestamp = v.pipe(v.string(), v.isoTimestamp());

const base = {
  containerId: v.string(),
  containerName: v.string(),
  image: v.string(),
  taskId: v.optional(v.string()),
  timestamp,
  origin: v.optional(v.literal("reconciled")),
};

/** Absent only if a label named `exitCode` hides it and the container was removed before it could be inspected. */
const exitCode = v.optional(v.number());

const workspace = {
  taskId: v.string(),
  workspacePath: v.optional(v.string()),
  containerId: v.optional(v.string()),
  timestamp,
};

const task = {
  taskId: v.string(),
  timestamp,
  containerId: v.optional(v.string()),
  exitCode: v.optional(v.number()),
  reason: v.optional(v.picklist(["exit", "oom", "signal", "timeout", "lost", "error"])),
};

const engine = {
  timestamp,
  engine: v.picklist(["docker", "podman", "embedded"]),
  version: v.optional(v.string()),
  error: v.optional(v.string()),
};

/** Both are absent on `events.socket`. */
const session = { session: v.optional(v.string()), timestamp: v.optional(timestamp) };

/** The health of a container, in the engine's own words. */
export const healthStatusSchema = v.picklist(["starting", "healthy", "unhealthy", "none"]);

/** One schema for each event type, in the order of EVENTS.md. */
export const wireEventSchemas = {
  "session.created": v.object({ type: v.literal("session.created"), ...session }),
  "session.attached": v.object({ type: v.literal("session.attached"), ...session }),
  "session.detached": v.object({ type: v.literal("session.detached"), ...session }),
  "session.removed": v.object({ type: v.literal("session.removed"), ...session }),
  "container.created": v.object({
    type: v.literal("container.created"),
    ...base,
    labels: v.optional(v.record(v.string(), v.string())),
  }),
  "container.started": v.object({ type: v.literal("container.started"), ...base }),
  "container.stopped": v.object({
    type: v.literal("container.stopped"),
    ...base,
    exitCode,
    graceful: v.boolean(),
    runDuration: v.optional(v.number()),
  }),
  "container.died": v.object({
    type: v.literal("container.died"),
    ...base,
    exitCode,
    signal: v.optional(v.string()),
    oomKilled: v.boolean(),
    error: v.optional(v.string()),
    runDuration: v.optional(v.number()),
  }),
  "container.removed": v.object({
    type: v.literal("container.removed"),
    ...base,
    forced: v.optional(v.boolean()),
    exitCode: v.optional(v.number()),
  }),
  "container.health": v.object({
    type: v.literal("container.health"),
    ...base,
    status: healthStatusSchema,
    previousStatus: v.optional(healthStatusSchema),
    failingStreak: v.optional(v.number()),
    lastCheckExitCode: v.optional(v.number()),
    lastCheckOutput: v.optional(v.string()),
    lastCheckTime: v.optional(timestamp),
  }),
  "container.operation_failed": v.object({
    type: v.literal("container.operation_failed"),
    operation: v.string(),
    containerId: v.optional(v.string()),
    containerName: v.optional(v.string()),
    image: v.optional(v.string()),
    taskId: v.optional(v.string()),
    timestamp,
    error: v.string(),
  }),
  "workspace.created": v.object({ type: v.literal("workspace.created"), ...workspace }),
  "workspace.cleaned": v.object({ type: v.literal("workspace.cleaned"), ...workspace }),
  "task.created": v.object({ type: v.literal("task.created"), ...task }),
  "task.started": v.object({ type: v.literal("task.started"), ...task }),
  "task.completed": v.object({ type: v.literal("task.completed"), ...task }),
  "task.failed": v.object({ type: v.literal("task.failed"), ...task }),
  "task.cancelled": v.object({ type: v.literal("task.cancelled"), ...task }),
  "engine.connected": v.object({ type: v.literal("engine.connected"), ...engine }),
  "engine.disconnected": v.object({ type: v.literal("engine.disconnected"), ...engine }),
} as const;

export type WireEventType = keyof typeof wireEventSchemas;

/** The wire event of one type. */
export type WireEventOf<T extends WireEventType> = v.InferOutput<(typeof wireEventSchemas)[T]>;

/** Any event that apex publishes, in its wire form. */
export type WireEvent = { [T in WireEventType]: WireEventOf<T> }[WireEventType];

/** The form of an event on `events.socket`: the event of a session has only its type there. */
export function bareEvent(event: WireEvent): WireEvent {
  switch (event.type) {
    case "session.created":
    case "session.attached":
    case "session.detached":
    case "session.removed":
      return { type: event.type };
    default:
      return event;
  }
}

export type HealthStatus = v.InferOutput<typeof healthStatusSchema>;
