/** Converts the daemon's records to the results of the control socket: times as RFC 3339, unknown fields left out. */
import type { ContainerRecord, ContainerState } from "../../containers/container_record.ts";
import type { Task } from "../../orchestrator/task.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { ContainerResult } from "../../protocol/container_operations.ts";
import type { TaskResult, WorkspaceResult } from "../../protocol/task_operations.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import type { OrphanedWorkspace, Workspace } from "../../workspaces/workspace.ts";

export function containerResult(
  { createdAt, startedAt, endedAt, ...record }: ContainerRecord,
): ContainerResult {
  return {
    ...record,
    ...(createdAt && { createdAt: createdAt.toISOString() }),
    ...(startedAt && { startedAt: startedAt.toISOString() }),
    ...(endedAt && { endedAt: endedAt.toISOString() }),
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

/** @param container undefined if it is not known */
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

/** @param standing `kept`: its task asked to keep it; `foreign`: another apex instance created it */
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
 * A container in `stream.snapshot`: the state that the events up to its cursor have reported, and no more. So a client that applies
 * the later events to a snapshot gets every later snapshot. `containers.list` also shows what no event reports: pauses, and health
 * checks that have only begun.
 */
export interface SnapshotContainer extends Omit<ContainerResult, "state" | "health" | "exitCode"> {
  readonly state: "created" | "running" | "exited";
  /** Of a running container, as last reported since it started. */
  readonly health?: "healthy" | "unhealthy";
  /** Of an exited container, if it is known. */
  readonly exitCode?: number;
}

export function snapshotContainer(record: ContainerRecord): SnapshotContainer {
  const { state: _, health, exitCode, endedAt, ...rest } = containerResult(record);
  const state = publishedState(record.state);
  return {
    ...rest,
    state,
    ...(state === "running" && definedFields({ health: publishedHealth(health) })),
    ...(state === "exited" && definedFields({ exitCode, endedAt })),
  };
}

/** No event reports a pause, or that the engine waits before it restarts a container. */
function publishedState(state: ContainerState): SnapshotContainer["state"] {
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

/** An event reports a start, but not that the health checks start over with it. */
function publishedHealth(health: HealthStatus | undefined): SnapshotContainer["health"] {
  return health === "healthy" || health === "unhealthy" ? health : undefined;
}
