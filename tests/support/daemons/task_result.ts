import type { TaskResult } from "../../../src/protocol/task_operations.ts";

/** A completed task, with the fields that a test overrides. */
export function taskResult(given: Partial<TaskResult> = {}): TaskResult {
  return {
    taskId: "t1",
    run: 1,
    state: "completed",
    reason: "exit",
    exitCode: 0,
    image: "busybox",
    cmd: ["true"],
    containerId: "c".repeat(64),
    createdAt: "2024-12-31T23:58:00.000Z",
    startedAt: "2024-12-31T23:58:10.000Z",
    endedAt: "2024-12-31T23:59:30.000Z",
    ...given,
  };
}

/** A task that has not ended. */
export function unendedTask(given: Partial<TaskResult> = {}): TaskResult {
  const { reason: _reason, exitCode: _exitCode, endedAt: _endedAt, ...rest } = taskResult({
    state: "running",
  });
  return { ...rest, ...given };
}
