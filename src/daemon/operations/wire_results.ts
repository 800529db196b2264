/** Converts the daemon's records to the results of the control socket. */
import type { ContainerRecord, ContainerState } from "../../containers/container_record.ts";
import type { Task } from "../../orchestrator/task.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { ContainerResult } from "../../protocol/container_operations.ts";
import type { TaskResult, WorkspaceResult } from "../../protocol/task_operations.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import type { OrphanedWorkspace, Workspace } from "../../workspaces/workspace.ts";

/** An object with its times as text. */
export type WireForm<T> = { [Key in keyof T]: Date extends T[Key] ? string | Exclude<T[Key], Date> : T[Key] };

/** The object with its times as RFC 3339, and without undefined fields. */
export function wireForm<T extends object>(record: T): WireForm<T> {
  const entries = Object.entries(record).filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key, value instanceof Date ? value.toISOString() : value]);
  return Object.fromEntries(entries);
}

export function containerResult(record: ContainerRecord): ContainerResult {
  return { ...wireForm(record) };
}

export function taskResult(task: Task): TaskResult {
  return { ...wireForm(task), cmd: [...task.cmd] };
}

/** @param container undefined if it is not known */
export function workspaceResult(
  { taskId, containerId, containerName, workspacePath }: Workspace,
  { instance, container }: { readonly instance: string; readonly container: ContainerRecord | undefined },
): WorkspaceResult {
  return definedFields({
    taskId,
    instance,
    containerName: container?.name ?? containerName,
    containerId,
    state: container?.state,
    workspacePath,
    orphaned: false,
    createdAt: container?.createdAt?.toISOString(),
  });
}

/** @param standing `kept`: its task asked to keep it; `foreign`: another apex instance created it */
export function unclaimedResult(
  workspace: OrphanedWorkspace,
  standing: "orphaned" | "kept" | "foreign",
): WorkspaceResult {
  return {
    ...wireForm(workspace),
    orphaned: standing === "orphaned",
    ...(standing === "kept" && { kept: true }),
    ...(standing === "foreign" && { foreign: true }),
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
