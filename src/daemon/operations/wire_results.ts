/** From what the daemon holds to what crosses the control socket: times as RFC 3339, what is unknown left out. */
import type { ContainerRecord } from "../../containers/container_record.ts";
import type { Task } from "../../orchestrator/task.ts";
import type { ContainerResult, TaskResult, WorkspaceResult } from "../../protocol/control.ts";
import type { OrphanedWorkspace, Workspace } from "../../workspaces/workspace.ts";

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
  { instance, container }: { readonly instance: string; readonly container: ContainerRecord | undefined },
): WorkspaceResult {
  return {
    taskId,
    instance,
    containerName: container?.name ?? containerName,
    ...(containerId !== undefined && { containerId }),
    ...(container && { state: container.state }),
    ...(workspacePath !== undefined && { workspacePath }),
    orphaned: false,
    ...(container?.createdAt && { createdAt: container.createdAt.toISOString() }),
  };
}

/** @param standing `kept`: it was left on purpose; `foreign`: another apex instance created it */
export function unclaimedResult(
  { createdAt, ...workspace }: OrphanedWorkspace,
  standing: "orphaned" | "kept" | "foreign",
): WorkspaceResult {
  return {
    ...workspace,
    orphaned: standing === "orphaned",
    ...(standing === "kept" && { kept: true }),
    ...(standing === "foreign" && { foreign: true }),
    ...(createdAt && { createdAt: createdAt.toISOString() }),
  };
}
