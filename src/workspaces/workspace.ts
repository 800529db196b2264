import type { ContainerSpec } from "../containers/operations/container_spec.ts";

/** Where a task runs: its container, and what that sees of this machine. */
export interface Workspace {
  readonly taskId: string;
  /** Known once the engine has made it. */
  readonly containerId?: string;
  readonly containerName: string;
  /** The directory of this machine that is its `/workspace`. */
  readonly workspacePath?: string;
  readonly policy: CleanupPolicy;
}

/** What becomes of a workspace when its task has ended. */
export interface CleanupPolicy {
  /** Remove the container. */
  readonly cleanupOnComplete: boolean;
  /** But leave it when the task has failed. */
  readonly preserveOnFailure: boolean;
}

/** Whether the container stays when its task has ended like that. */
export function isKept({ cleanupOnComplete, preserveOnFailure }: CleanupPolicy, outcome: string): boolean {
  return !cleanupOnComplete || (preserveOnFailure && outcome === "failed");
}

/** What a workspace is asked to be. */
export interface WorkspaceSpec {
  readonly taskId: string;
  /** Name and apex's own labels are the workspace manager's to give. */
  readonly container: Omit<ContainerSpec, "name">;
  /** A directory of this machine, to be mounted at `/workspace`. */
  readonly projectDir?: string;
  readonly policy: CleanupPolicy;
}

/** Told when a workspace's container is there, and when it is gone. */
export interface WorkspaceEvent {
  readonly taskId: string;
  readonly workspacePath?: string;
  readonly containerId?: string;
  readonly timestamp: Date;
}

export interface WorkspaceEvents {
  "workspace-created": WorkspaceEvent;
  "workspace-cleaned": WorkspaceEvent;
}

/** A container that is about to be removed. */
export interface LeavingContainer {
  readonly taskId: string;
  readonly containerId: string;
}

/** A container that an apex instance created for a task, and that belongs to no task that this instance knows. */
export interface OrphanedWorkspace {
  readonly taskId: string;
  /** The id of the instance that created it; absent: an apex that did not have ids yet. */
  readonly instance?: string;
  readonly containerId: string;
  readonly containerName: string;
  readonly state: string;
  readonly createdAt?: Date;
}
