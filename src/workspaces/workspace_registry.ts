import { ApexError } from "../platform/apex_error.ts";
import { definedFields } from "../platform/defined_fields.ts";
import type { CleanupPolicy, Workspace, WorkspaceEvent } from "./workspace.ts";

/** A workspace, from before its container is requested until the container is removed or abandoned. */
export interface WorkspaceEntry {
  readonly taskId: string;
  readonly workspacePath?: string;
  readonly policy: CleanupPolicy;
  /** Empty until a name was chosen. */
  containerName: string;
  containerId: string | undefined;
  /** `workspace-created` was emitted, by this process or an earlier one. */
  isCreationPublished: boolean;
  /** The container was removed, and `workspace-cleaned` was emitted. */
  isCleaned: boolean;
  /** Its creation was given up. If the container appears, it is removed. */
  isAbandoned: boolean;
}

/**
 * The workspaces of a manager: at most one current workspace for each task, and the leaving ones, whose removal is under
 * way or pending. A task id may be used again while its previous workspace is leaving.
 */
export class WorkspaceRegistry {
  readonly #current = new Map<string, WorkspaceEntry>();
  readonly #all = new Set<WorkspaceEntry>();
  readonly #byName = new Map<string, WorkspaceEntry>();
  readonly #byContainer = new Map<string, WorkspaceEntry>();

  /**
   * Adds the current workspace of a task.
   * @throws {ApexError} `conflict` if the task has a workspace
   */
  open(workspace: Omit<Workspace, "containerName"> & Partial<Workspace>): WorkspaceEntry {
    const { taskId } = workspace;
    if (this.#current.has(taskId)) {
      throw new ApexError(
        "conflict",
        `cannot create a workspace for task "${taskId}": it already has one ` +
          "(wait until the task has ended, or use another task id)",
      );
    }
    const entry = this.openLeaving(workspace);
    this.#current.set(taskId, entry);
    return entry;
  }

  /** Adds a workspace that is about to be removed, and is not the current one of its task. */
  openLeaving(workspace: Omit<Workspace, "containerName"> & Partial<Workspace>): WorkspaceEntry {
    const entry: WorkspaceEntry = {
      containerId: undefined,
      containerName: "",
      ...workspace,
      isCreationPublished: false,
      isCleaned: false,
      isAbandoned: false,
    };
    this.#all.add(entry);
    if (workspace.containerName !== undefined) this.rename(entry, workspace.containerName);
    if (workspace.containerId !== undefined) this.identify(entry, workspace.containerId);
    return entry;
  }

  /** The current workspace of the task. */
  get(taskId: string): WorkspaceEntry | undefined {
    return this.#current.get(taskId);
  }

  /** All workspaces, leaving ones included, oldest first. */
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

  /** From now on the workspace is not the current one of its task. */
  leave(entry: WorkspaceEntry): void {
    if (this.#current.get(entry.taskId) === entry) this.#current.delete(entry.taskId);
  }

  has(entry: WorkspaceEntry): boolean {
    return this.#all.has(entry);
  }

  remove(entry: WorkspaceEntry): void {
    const { containerName, containerId = "" } = entry;
    this.leave(entry);
    this.#all.delete(entry);
    if (this.#byName.get(containerName) === entry) this.#byName.delete(containerName);
    if (this.#byContainer.get(containerId) === entry) this.#byContainer.delete(containerId);
  }
}

/** The public part of an entry. */
export function toWorkspace(entry: WorkspaceEntry): Workspace {
  const { taskId, containerId, containerName, workspacePath, policy } = entry;
  return definedFields({ taskId, containerId, containerName, workspacePath, policy });
}

/**
 * The event of an entry.
 * @param timestamp of the container event that causes this one
 */
export function workspaceEvent(entry: WorkspaceEntry, timestamp: Date): WorkspaceEvent {
  const { taskId, workspacePath, containerId } = entry;
  return definedFields({ taskId, workspacePath, containerId, timestamp });
}
