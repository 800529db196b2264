/** Converts between the orchestrator's record of a task and its row in the store. */
import { definedFields } from "../platform/defined_fields.ts";
import type { StoredTask } from "../storage/task_store.ts";
import type { Task } from "./task.ts";
import type { StopCause } from "./task_end.ts";
import type { NamedTaskSpec } from "./task_spec.ts";

/** A task as it is stored: its snapshot, and what only the orchestrator knows. */
export interface TaskRecord {
  readonly task: Task;
  readonly spec: NamedTaskSpec;
  /** Set while the task is being stopped. */
  readonly stopCause?: StopCause;
  /** The task has ended, and its container was not dealt with yet. */
  readonly cleanupPending: boolean;
  /** Chosen by the client that began the task. A second request with the same id does not begin another task. */
  readonly requestId?: string;
  /** A client has not received all of the output. Stored, so that the next daemon keeps the container for it. */
  readonly outputAwaited: boolean;
  /** The engine that the task was accepted for. */
  readonly engineId?: string;
}

/** Drops the environment of an ended task, because it may contain secrets. */
export function rowOf({ task, spec, ...record }: TaskRecord): StoredTask {
  const { image: _image, cmd: _cmd, createdAt, startedAt, endedAt, ...rest } = task;
  const { env: _env, ...withoutEnv } = spec;
  return definedFields({
    ...rest,
    createdAtMs: createdAt.getTime(),
    startedAtMs: startedAt?.getTime(),
    endedAtMs: endedAt?.getTime(),
    ...record,
    spec: endedAt === undefined ? spec : withoutEnv,
  });
}

/** The inverse of {@linkcode rowOf}. */
export function recordOf(row: StoredTask): TaskRecord {
  // Only rowOf() writes these rows.
  const { spec, stopCause, cleanupPending, requestId, outputAwaited, engineId, ...rest } = row as
    & StoredTask
    & Pick<TaskRecord, "spec" | "stopCause">
    & Pick<Task, "state" | "reason">;
  const { createdAtMs, startedAtMs, endedAtMs, ...task } = rest;
  return definedFields({
    spec,
    cleanupPending,
    requestId,
    outputAwaited,
    engineId,
    stopCause,
    task: definedFields({
      ...task,
      image: spec.image,
      cmd: spec.cmd ?? [],
      createdAt: new Date(createdAtMs),
      startedAt: startedAtMs === undefined ? undefined : new Date(startedAtMs),
      endedAt: endedAtMs === undefined ? undefined : new Date(endedAtMs),
    }),
  });
}
