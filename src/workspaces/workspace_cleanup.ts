/**
 * The end of workspaces: removes their containers, and sees to it that `workspace-cleaned` is told once for each, behind
 * the engine's event of the removal, or, where none can come, at once. It owns the removals that nobody waits for, what
 * waits for an engine that went away, and the timers of what is looked out for, and ends them all.
 */
import { AbandonedContainers } from "../containers/operations/abandoned_containers.ts";
import {
  attemptRemoval,
  awaitForeignRemoval,
  type RemovableContainers,
  removeContainer,
} from "../containers/operations/container_removal.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { LeavingContainer, OrphanedWorkspace } from "./workspace.ts";
import type { WorkspaceBook, WorkspaceEntry } from "./workspace_book.ts";
import type { EngineReturns } from "./workspace_containers.ts";

/** An engine that did not answer may be back without having been missed: its event stream was not cut. */
const RETRY_UNANSWERED_MS = 60_000;

export interface WorkspaceCleanupOptions {
  readonly book: WorkspaceBook;
  readonly containers: RemovableContainers & EngineReturns;
  /** Tells it, at once. */
  readonly onCleaned: (entry: WorkspaceEntry, timestamp: Date) => void;
  /** Awaited before a container is removed; must not reject. Its signal is aborted when this ends. */
  readonly beforeRemoval?: (container: LeavingContainer, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class WorkspaceCleanup implements Disposable, AsyncDisposable {
  readonly #options: WorkspaceCleanupOptions;
  readonly #ended = new AbortController();
  /** Removals that nobody waits for. */
  readonly #background = new Set<Promise<unknown>>();
  /** Their container may still appear, or its events may. */
  readonly #expected: AbandonedContainers<WorkspaceEntry>;
  /** Containers that are to be removed once the engine answers. */
  readonly #unanswered = new Map<WorkspaceEntry, string>();
  #cancelRetry: (() => void) | undefined;

  constructor(options: WorkspaceCleanupOptions) {
    this.#options = options;
    this.#expected = new AbandonedContainers(options.clock);
    options.containers.on("engine:connected", this.#retryUnanswered);
  }

  /** Its container is gone. A current one stays in the book until its task is finished. */
  cleaned(entry: WorkspaceEntry, timestamp: Date): void {
    if (entry.isCleaned) return;
    entry.isCleaned = true;
    if (this.#options.book.get(entry.taskId) !== entry) this.forget(entry);
    this.#options.onCleaned(entry, timestamp);
  }

  /**
   * Removes a leaving one's container. Resolves when the engine has done that; or, with false, when it is given up: that
   * is logged, and the container left as an orphan, or, where the engine did not answer, until it does. Never rejects.
   */
  async remove(entry: WorkspaceEntry, id: string): Promise<boolean> {
    const { book, containers, clock, logger } = this.#options;
    const { signal } = this.#ended;
    await awaitForeignRemoval(id, { containers, clock, abort: signal });
    if (!book.isKnown(entry)) return true;
    if (signal.aborted) return false;
    if (!this.#isGoneUntold(entry, id)) {
      await this.#options.beforeRemoval?.({ taskId: entry.taskId, containerId: id }, signal);
    }
    if (signal.aborted) return false;
    if (!book.isKnown(entry)) return true;
    if (!this.#isGoneUntold(entry, id)) {
      const ifRefused = "it is now orphaned; try: apex workspaces clean";
      const result = await removeContainer(id, { containers, clock, logger, abort: signal, ifRefused });
      if (result === "refused") this.forget(entry);
      else if (result === "unanswered") this.#removeLater(entry, id);
      if (result !== "removed") return false;
      if (!book.isKnown(entry)) return true;
    }
    if (this.#isGoneUntold(entry, id)) this.cleaned(entry, new Date(clock.now()));
    // Else the engine's event of it is still to come; that of its creation too, perhaps, and then both may be lost.
    else if (!entry.isCreationTold) this.#lookOut(entry);
    return true;
  }

  /** @throws whatever the engine says; then it stays an orphan */
  async removeOrphan({ taskId, containerId, containerName }: OrphanedWorkspace): Promise<void> {
    const policy = { cleanupOnComplete: true, preserveOnFailure: false };
    const entry = this.#options.book.openLeaving({ taskId, containerId, containerName, policy });
    entry.isCreationTold = true;
    try {
      await this.#options.beforeRemoval?.({ taskId, containerId }, this.#ended.signal);
      await attemptRemoval(containerId, this.#options.containers);
    } catch (error) {
      this.forget(entry);
      throw error;
    }
  }

  /** Its creation was given up, and may have happened, or happen yet: then nothing of it may be left behind. */
  abandon(entry: WorkspaceEntry): void {
    this.#options.book.leave(entry);
    entry.isAbandoned = true;
    if (entry.containerId === undefined) this.#lookOut(entry);
    else this.removeUnattended(entry, entry.containerId);
  }

  removeUnattended(entry: WorkspaceEntry, id: string): void {
    if (this.#ended.signal.aborted) return;
    this.#expected.take(entry);
    this.#begin(() => this.remove(entry, id), entry);
  }

  forget(entry: WorkspaceEntry): void {
    this.#expected.take(entry);
    this.#unanswered.delete(entry);
    this.#options.book.forget(entry);
  }

  /** Gives up what is under way. May be called again. */
  [Symbol.dispose](): void {
    this.#ended.abort();
    this.#options.containers.off("engine:connected", this.#retryUnanswered);
    this.#cancelRetry?.();
    this.#unanswered.clear();
    this.#expected[Symbol.dispose]();
  }

  /** The same, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    await Promise.all(this.#background);
  }

  #removeLater(entry: WorkspaceEntry, id: string): void {
    if (this.#ended.signal.aborted) return;
    this.#unanswered.set(entry, id);
    this.#cancelRetry?.();
    this.#cancelRetry = this.#options.clock.after(RETRY_UNANSWERED_MS, this.#retryUnanswered);
  }

  readonly #retryUnanswered = (): void => {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    const waiting = [...this.#unanswered];
    this.#unanswered.clear();
    if (this.#ended.signal.aborted || waiting.length === 0) return;
    // One after the other: an engine that has just started has enough to do.
    this.#begin(async () => {
      for (const [entry, id] of waiting) await this.remove(entry, id);
    }, waiting[0]![0]);
  };

  #begin(work: () => Promise<unknown>, { taskId }: WorkspaceEntry): void {
    const task = work().catch((error: unknown) =>
      this.#options.logger.error(`cannot clean up the workspace of task "${taskId}": ${messageOf(error)}`)
    );
    this.#background.add(task);
    void task.finally(() => this.#background.delete(task));
  }

  /** No event will come: its container vanished while nobody followed the engine. */
  #isGoneUntold(entry: WorkspaceEntry, id: string): boolean {
    return entry.isCreationTold && this.#options.containers.find(id) === undefined;
  }

  #lookOut(entry: WorkspaceEntry): void {
    if (!this.#ended.signal.aborted) this.#expected.add(entry, () => this.forget(entry));
  }
}
