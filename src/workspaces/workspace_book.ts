import { ApexError } from "../platform/apex_error.ts";
import type { CleanupPolicy, Workspace, WorkspaceEvent } from "./workspace.ts";

/** One workspace of ours, from before its container is asked for until that is gone or left to itself. */
export interface WorkspaceEntry {
  readonly taskId: string;
  readonly workspacePath?: string;
  readonly policy: CleanupPolicy;
  containerName: string;
  containerId: string | undefined;
  /** `workspace-created` was told, in this life or an earlier one. */
  isCreationTold: boolean;
  /** Its container is gone, and `workspace-cleaned` was told. */
  isCleaned: boolean;
  /** Nobody waits for it any more: should its container still come to be, it is removed. */
  isAbandoned: boolean;
}

/**
 * The workspaces of this manager: at most one current one for a task, and those that are leaving, whose removal is under
 * way or awaited. A task id may be used again while its last workspace is leaving.
 */
export class WorkspaceBook {
  readonly #current = new Map<string, WorkspaceEntry>();
  readonly #all = new Set<WorkspaceEntry>();
  readonly #byName = new Map<string, WorkspaceEntry>();
  readonly #byContainer = new Map<string, WorkspaceEntry>();

  /** @throws {ApexError} `conflict` when the task has one */
  open(workspace: Workspace): WorkspaceEntry {
    const { taskId } = workspace;
    if (this.#current.has(taskId)) {
      throw new ApexError(
        "conflict",
        `cannot make a workspace for task "${taskId}": it has one already (wait for its end, or use another task id)`,
      );
    }
    const entry = this.openLeaving(workspace);
    this.#current.set(taskId, entry);
    return entry;
  }

  /** One that is about to go: it is no task's current one. */
  openLeaving(workspace: Workspace): WorkspaceEntry {
    const entry: WorkspaceEntry = {
      containerId: undefined,
      ...workspace,
      isCreationTold: false,
      isCleaned: false,
      isAbandoned: false,
    };
    this.#all.add(entry);
    this.rename(entry, workspace.containerName);
    if (workspace.containerId !== undefined) this.identify(entry, workspace.containerId);
    return entry;
  }

  /** The task's current one. */
  get(taskId: string): WorkspaceEntry | undefined {
    return this.#current.get(taskId);
  }

  /** Leaving ones too, oldest first. */
  list(): WorkspaceEntry[] {
    return [...this.#all];
  }

  named(containerName: string): WorkspaceEntry | undefined {
    return this.#byName.get(containerName);
  }

  withContainer(containerId: string): WorkspaceEntry | undefined {
    return this.#byContainer.get(containerId);
  }

  rename(entry: WorkspaceEntry, containerName: string): void {
    if (this.#byName.get(entry.containerName) === entry) this.#byName.delete(entry.containerName);
    entry.containerName = containerName;
    this.#byName.set(containerName, entry);
  }

  identify(entry: WorkspaceEntry, containerId: string): void {
    entry.containerId = containerId;
    if (this.#all.has(entry)) this.#byContainer.set(containerId, entry);
  }

  /** It is its task's current one no more. */
  leave(entry: WorkspaceEntry): void {
    if (this.#current.get(entry.taskId) === entry) this.#current.delete(entry.taskId);
  }

  isKnown(entry: WorkspaceEntry): boolean {
    return this.#all.has(entry);
  }

  forget(entry: WorkspaceEntry): void {
    this.leave(entry);
    this.#all.delete(entry);
    if (this.#byName.get(entry.containerName) === entry) this.#byName.delete(entry.containerName);
    if (entry.containerId !== undefined && this.#byContainer.get(entry.containerId) === entry) {
      this.#byContainer.delete(entry.containerId);
    }
  }
}

export function toWorkspace(
  { taskId, containerId, containerName, workspacePath, policy }: WorkspaceEntry,
): Workspace {
  return {
    taskId,
    ...(containerId !== undefined && { containerId }),
    containerName,
    ...(workspacePath !== undefined && { workspacePath }),
    policy,
  };
}

/** @param timestamp that of the container's event which it follows from */
export function workspaceEvent(entry: WorkspaceEntry, timestamp: Date): WorkspaceEvent {
  const { taskId, workspacePath, containerId } = entry;
  return {
    taskId,
    ...(workspacePath !== undefined && { workspacePath }),
    ...(containerId !== undefined && { containerId }),
    timestamp,
  };
}
