/** Between a task as the orchestrator has it and its row. */
import type { StoredTask } from "../storage/task_store.ts";
import type { Task, TaskReason, TaskState } from "./task.ts";
import type { StopCause } from "./task_end.ts";
import type { NamedTaskSpec } from "./task_spec.ts";

/** What is kept of a task beside what everybody sees of it. */
export interface TaskRecord {
  readonly task: Task;
  readonly spec: NamedTaskSpec;
  readonly stopCause?: StopCause;
  readonly cleanupPending: boolean;
  /** What its client called the request that began it: asking again with it begins no second task. */
  readonly requestId?: string;
  /** A client has not received all of its output yet: kept, so that the next daemon leaves the container to it. */
  readonly outputAwaited: boolean;
  /** The engine that it was given to. */
  readonly engineId?: string;
}

/** Times in whole milliseconds. The environment, which may hold secrets, is not kept longer than it is needed. */
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
  // Nobody else writes these rows: what stands in them is what rowOf() made of it.
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
