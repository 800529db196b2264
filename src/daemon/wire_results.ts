/** From what the daemon holds to what crosses the control socket: times as RFC 3339, what is unknown left out. */
import type { ContainerRecord } from "../containers/container_record.ts";
import type { Task } from "../orchestrator/task.ts";
import type { ContainerResult, TaskResult, WorkspaceResult } from "../protocol/control.ts";
import type { OrphanedWorkspace, Workspace } from "../workspaces/workspace.ts";

export function containerResult(
  { createdAt, startedAt, finishedAt, ...record }: ContainerRecord,
): ContainerResult {
  return {
    ...record,
    ...(createdAt && { createdAt: createdAt.toISOString() }),
    ...(startedAt && { startedAt: startedAt.toISOString() }),
    ...(finishedAt && { finishedAt: finishedAt.toISOString() }),
  };
}

export function taskResult({ cmd, createdAt, startedAt, endedAt, ...task }: Task): TaskResult {
  return {
    ...task,
    cmd: [...cmd],
    createdAt: createdAt.toISOString(),
    ...(startedAt && { startedAt: startedAt.toISOString() }),
    ...(endedAt && { endedAt: endedAt.toISOString() }),
  };
}

/** @param container what is known of its container, if anything */
export function workspaceResult(
  { taskId, containerId, containerName, workspacePath }: Workspace,
  container: ContainerRecord | undefined,
): WorkspaceResult {
  return {
    taskId,
    containerName: container?.name ?? containerName,
    ...(containerId !== undefined && { containerId }),
    ...(container && { state: container.state }),
    ...(workspacePath !== undefined && { workspacePath }),
    orphaned: false,
    ...(container?.createdAt && { createdAt: container.createdAt.toISOString() }),
  };
}

/** @param kept it was left on purpose */
export function abandonedResult(
  { createdAt, ...workspace }: OrphanedWorkspace,
  { kept }: { readonly kept: boolean },
): WorkspaceResult {
  return {
    ...workspace,
    orphaned: !kept,
    ...(kept && { kept }),
    ...(createdAt && { createdAt: createdAt.toISOString() }),
  };
}
