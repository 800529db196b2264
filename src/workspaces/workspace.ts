import type { ContainerEventSource } from "../containers/changes/container_events.ts";
import type { ContainerManager } from "../containers/container_manager.ts";
import type { ContainerSpec } from "../containers/operations/container_spec.ts";

/** Where a task runs: its container, and the directory of this machine that the container sees. */
export interface Workspace {
  readonly taskId: string;
  /** Known once the engine has created the container. */
  readonly containerId?: string;
  readonly containerName: string;
  /** The directory of this machine that is mounted at `/workspace`. */
  readonly workspacePath?: string;
  readonly policy: CleanupPolicy;
}

/** What happens to the container when its task has ended. */
export interface CleanupPolicy {
  /** Remove the container. */
  readonly cleanupOnComplete: boolean;
  /** Keep the container when the task has failed. */
  readonly preserveOnFailure: boolean;
}

/** How a task ended, as far as its workspace is concerned. */
export type WorkspaceOutcome = "completed" | "failed" | "cancelled";

/** Whether the policy keeps the container after that outcome. */
export function isKept({ cleanupOnComplete, preserveOnFailure }: CleanupPolicy, outcome: string): boolean {
  return !cleanupOnComplete || (preserveOnFailure && outcome === "failed");
}

/** The workspace that a task needs. */
export interface WorkspaceSpec {
  readonly taskId: string;
  /** The workspace manager chooses the name and adds apex's own labels. */
  readonly container: Omit<ContainerSpec, "name">;
  readonly policy: CleanupPolicy;
}

/** Emitted when a workspace's container was created, and when it was removed. */
export interface WorkspaceEvent {
  readonly taskId: string;
  readonly workspacePath?: string;
  readonly containerId?: string;
  readonly timestamp: Date;
}

/** The workspace events of {@linkcode WorkspaceManager}, by name. */
export interface WorkspaceEvents {
  "workspace-created": WorkspaceEvent;
  "workspace-cleaned": WorkspaceEvent;
}

/** A container that is about to be removed. */
export interface LeavingContainer {
  readonly taskId: string;
  readonly containerId: string;
}

/** A container that an apex instance created for a task, and that belongs to no task of this instance. */
export interface OrphanedWorkspace {
  readonly taskId: string;
  /** The id of the instance that created it; absent if that version of apex had no instance ids. */
  readonly instance?: string;
  readonly containerId: string;
  readonly containerName: string;
  readonly state: string;
  readonly createdAt?: Date;
}

/** {@linkcode ContainerManager}, as far as workspaces need it. */
export type WorkspaceContainers =
  & Pick<
    ContainerManager,
    | "create"
    | "start"
    | "stop"
    | "kill"
    | "remove"
    | "inspect"
    | "openInput"
    | "find"
    | "list"
    | "owns"
    | "instance"
    | "engineId"
    | "isCaughtUp"
  >
  & ContainerEventSource<"container:created">
  & ContainerEventSource<"container:started">
  & ContainerEventSource<"container:stopped">
  & ContainerEventSource<"container:died">
  & ContainerEventSource<"container:removed">
  & ContainerEventSource<"container:operation_failed">
  & EngineConnections;

/** Emitted when the engine is connected, and when everything that happened before was published. */
export interface EngineConnections {
  on(name: "engine:connected" | "engine:caught-up", listener: () => void): () => void;
}
