/**
 * Removes the containers of workspaces, and emits `workspace-cleaned` once for each: after the container's removal event,
 * or at once if no such event can come. It owns the removals that no caller waits for, the removals that are postponed
 * until the engine answers, and the timers of containers that may still appear. Disposal ends all of them.
 */
import {
  AbandonedContainers,
  attemptRemoval,
  awaitForeignRemoval,
  type RemovableContainers,
  removeContainer,
} from "../containers/operations/container_removal.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { EngineConnections, LeavingContainer, OrphanedWorkspace } from "./workspace.ts";
import type { WorkspaceEntry, WorkspaceRegistry } from "./workspace_registry.ts";

/** An engine may answer again although its event stream was not interrupted, so that no reconnection is reported. */
const RETRY_UNANSWERED_MS = 60_000;

export interface WorkspaceCleanupOptions {
  readonly registry: WorkspaceRegistry;
  readonly containers: RemovableContainers & EngineConnections;
  /** Emits `workspace-cleaned`. */
  readonly onCleaned: (entry: WorkspaceEntry, timestamp: Date) => void;
  /** Awaited before a container is removed; must not reject. Disposal aborts its AbortSignal. */
  readonly beforeRemoval?: (container: LeavingContainer, abort: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Removes the containers of workspaces. */
export class WorkspaceCleanup implements Disposable, AsyncDisposable {
  readonly #options: WorkspaceCleanupOptions;
  readonly #removeListener: () => void;
  readonly #disposal = new AbortController();
  readonly #background = new Set<Promise<unknown>>();
  /** Workspaces whose container, or whose events, may still appear. */
  readonly #expected: AbandonedContainers<WorkspaceEntry>;
  /** The container ids of removals that no engine answered. */
  readonly #unanswered = new Map<WorkspaceEntry, string>();
  #cancelRetry: (() => void) | undefined;

  constructor(options: WorkspaceCleanupOptions) {
    this.#options = options;
    this.#expected = new AbandonedContainers(options.clock);
    this.#removeListener = options.containers.on("engine:connected", this.#retryUnanswered);
  }

  /** Call it when the container was removed. A current workspace stays in the registry until its task is finished. */
  cleaned(entry: WorkspaceEntry, timestamp: Date): void {
    if (entry.isCleaned) return;
    entry.isCleaned = true;
    if (this.#options.registry.get(entry.taskId) !== entry) this.forget(entry);
    this.#options.onCleaned(entry, timestamp);
  }

  /**
   * Removes the container of a leaving workspace. Resolves with true when the engine has removed it. Resolves with false
   * when the removal failed: the failure is logged, and the container becomes an orphan; if no engine answered, it is
   * removed when the engine is back. Never rejects.
   */
  async remove(entry: WorkspaceEntry, id: string): Promise<boolean> {
    const { registry, containers, clock, logger, beforeRemoval } = this.#options;
    const { signal: abort } = this.#disposal;
    await awaitForeignRemoval(id, { containers, clock, abort });
    if (registry.has(entry) && !abort.aborted && !this.#wasRemovedUnnoticed(entry, id)) {
      await beforeRemoval?.({ taskId: entry.taskId, containerId: id }, abort);
    }
    if (!registry.has(entry)) return true;
    if (abort.aborted) return false;
    if (!this.#wasRemovedUnnoticed(entry, id)) {
      const ifRefused = "it is orphaned now; try: apex workspaces clean";
      const result = await removeContainer(id, { containers, clock, logger, abort, ifRefused });
      if (result === "refused") this.forget(entry);
      else if (result === "unanswered") this.#removeLater(entry, id);
      if (result !== "removed") return false;
      if (!registry.has(entry)) return true;
    }
    if (this.#wasRemovedUnnoticed(entry, id)) this.cleaned(entry, new Date(clock.now()));
    // Its removal event is still to come. If its creation was not published either, both events may be lost.
    else if (!entry.isCreationPublished) this.#expect(entry);
    return true;
  }

  /** @throws what the engine says; the container is then still an orphan */
  async removeOrphan({ taskId, containerId, containerName }: OrphanedWorkspace): Promise<void> {
    const policy = { cleanupOnComplete: true, preserveOnFailure: false };
    const entry = this.#options.registry.openLeaving({ taskId, containerId, containerName, policy });
    entry.isCreationPublished = true;
    try {
      await this.#options.beforeRemoval?.({ taskId, containerId }, this.#disposal.signal);
      await attemptRemoval(containerId, this.#options.containers);
    } catch (error) {
      this.forget(entry);
      throw error;
    }
  }

  /** Call it when a creation was given up. If the container exists, or appears within a minute, it is removed. */
  abandon(entry: WorkspaceEntry): void {
    this.#options.registry.leave(entry);
    entry.isAbandoned = true;
    if (entry.containerId === undefined) this.#expect(entry);
    else this.removeInBackground(entry, entry.containerId);
  }

  removeInBackground(entry: WorkspaceEntry, id: string): void {
    if (this.#disposal.signal.aborted) return;
    this.#expected.take(entry);
    this.#begin(() => this.remove(entry, id), entry);
  }

  forget(entry: WorkspaceEntry): void {
    this.#expected.take(entry);
    this.#unanswered.delete(entry);
    this.#options.registry.remove(entry);
  }

  /** Aborts all removals. Idempotent. */
  [Symbol.dispose](): void {
    this.#disposal.abort();
    this.#removeListener();
    this.#cancelRetry?.();
    this.#unanswered.clear();
    this.#expected[Symbol.dispose]();
  }

  /** Aborts all removals, and waits for those in the background. */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    await Promise.all(this.#background);
  }

  #removeLater(entry: WorkspaceEntry, id: string): void {
    if (this.#disposal.signal.aborted) return;
    this.#unanswered.set(entry, id);
    this.#cancelRetry?.();
    this.#cancelRetry = this.#options.clock.after(RETRY_UNANSWERED_MS, this.#retryUnanswered);
  }

  readonly #retryUnanswered = (): void => {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    const [first, ...others] = this.#unanswered;
    this.#unanswered.clear();
    if (this.#disposal.signal.aborted || first === undefined) return;
    // One after another: an engine that has just started is busy.
    this.#begin(async () => {
      for (const [entry, id] of [first, ...others]) await this.remove(entry, id);
    }, first[0]);
  };

  #begin(work: () => Promise<unknown>, { taskId }: WorkspaceEntry): void {
    const task = work().catch((error: unknown) =>
      this.#options.logger.error(`cannot clean up the workspace of task "${taskId}": ${messageOf(error)}`)
    );
    this.#background.add(task);
    void task.finally(() => this.#background.delete(task));
  }

  /** The container was removed while apex did not follow the engine, so no event will come. */
  #wasRemovedUnnoticed(entry: WorkspaceEntry, id: string): boolean {
    return entry.isCreationPublished && this.#options.containers.find(id) === undefined;
  }

  #expect(entry: WorkspaceEntry): void {
    if (!this.#disposal.signal.aborted) this.#expected.add(entry, () => this.forget(entry));
  }
}
