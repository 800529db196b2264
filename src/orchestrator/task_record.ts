/** Converts between the orchestrator's record of a task and its row in the store. */
import type { StoredTask } from "../storage/task_store.ts";
import type { Task, TaskReason, TaskState } from "./task.ts";
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
export function rowOf(
  { task, spec, stopCause, cleanupPending, requestId, outputAwaited, engineId }: TaskRecord,
): StoredTask {
  const { image: _image, cmd: _cmd, createdAt, startedAt, endedAt, ...rest } = task;
  const { env, ...withoutEnv } = spec;
  return {
    ...rest,
    createdAtMs: createdAt.getTime(),
    ...(startedAt !== undefined && { startedAtMs: startedAt.getTime() }),
    ...(endedAt !== undefined && { endedAtMs: endedAt.getTime() }),
    ...(stopCause !== undefined && { stopCause }),
    cleanupPending,
    ...(requestId !== undefined && { requestId }),
    outputAwaited,
    ...(engineId !== undefined && { engineId }),
    spec: endedAt === undefined && env !== undefined ? { ...withoutEnv, env } : withoutEnv,
  };
}

export function recordOf(row: StoredTask): TaskRecord {
  const {
    createdAtMs,
    startedAtMs,
    endedAtMs,
    stopCause,
    cleanupPending,
    engineId,
    requestId,
    outputAwaited,
    ...rest
  } = row;
  // Only rowOf() writes these rows.
  const spec = row.spec as NamedTaskSpec;
  const { taskId, run, exitCode, error, containerId, workspacePath } = rest;
  return {
    spec,
    cleanupPending,
    ...(requestId !== undefined && { requestId }),
    outputAwaited,
    ...(engineId !== undefined && { engineId }),
    ...(stopCause !== undefined && { stopCause: stopCause as StopCause }),
    task: {
      taskId,
      run,
      state: rest.state as TaskState,
      ...(rest.reason !== undefined && { reason: rest.reason as TaskReason }),
      ...(exitCode !== undefined && { exitCode }),
      ...(error !== undefined && { error }),
      image: spec.image,
      cmd: spec.cmd ?? [],
      ...(containerId !== undefined && { containerId }),
      ...(workspacePath !== undefined && { workspacePath }),
      createdAt: new Date(createdAtMs),
      ...(startedAtMs !== undefined && { startedAt: new Date(startedAtMs) }),
      ...(endedAtMs !== undefined && { endedAt: new Date(endedAtMs) }),
    },
  };
}
