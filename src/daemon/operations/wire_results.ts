/** From what the daemon holds to what crosses the control socket: times as RFC 3339, what is unknown left out. */
import type { ContainerRecord, ContainerState } from "../../containers/container_record.ts";
import type { Task } from "../../orchestrator/task.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { ContainerResult, TaskResult, WorkspaceResult } from "../../protocol/control.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
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

/**
 * What `stream.snapshot` says of containers: what the events up to its cursor have told, and no more, so that a snapshot
 * and the events after it make every later snapshot. `containers.list` says more: pauses, checks that have only begun.
 */

/** A container as its events have told of it. */
export interface SnapshotContainer extends Omit<ContainerResult, "state" | "health" | "exitCode"> {
  readonly state: "created" | "running" | "exited";
  /** Of a running one, as last told since it started. */
  readonly health?: "healthy" | "unhealthy";
  /** Of an exited one, when it is known. */
  readonly exitCode?: number;
}

export function snapshotContainer(record: ContainerRecord): SnapshotContainer {
  const { state: _, health, exitCode, finishedAt, ...rest } = containerResult(record);
  const state = toldState(record.state);
  return {
    ...rest,
    state,
    ...(state === "running" && definedFields({ health: toldHealth(health) })),
    ...(state === "exited" && definedFields({ exitCode, finishedAt })),
  };
}

/** No event tells of a pause, or that the engine waits before it restarts a container. */
function toldState(state: ContainerState): SnapshotContainer["state"] {
  switch (state) {
    case "created":
    case "running":
    case "exited":
      return state;
    case "paused":
      return "running";
    case "restarting":
    case "removed":
      return "exited";
  }
}

/** A start is told, but not that the checks begin anew with it. */
function toldHealth(health: HealthStatus | undefined): SnapshotContainer["health"] {
  return health === "healthy" || health === "unhealthy" ? health : undefined;
}
