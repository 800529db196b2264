/**
 * What follows the end of a run. The engine keeps a task's output only as long as its container, so the container stays while
 * clients read the output. After that, the workspace manager removes it, or keeps it if the task says so.
 */
import { messageOf } from "../platform/apex_error.ts";
import type { Semaphore } from "../platform/async/semaphore.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";
import type { TaskRecord } from "./task_record.ts";

export interface TaskCleanupOptions {
  /** The current record of the run. */
  readonly record: () => TaskRecord;
  readonly save: (changes: Partial<TaskRecord>) => void;
  /** Resolves when the previous run of this id is cleaned up. */
  readonly predecessor: Promise<void> | undefined;
  readonly workspaces: Pick<WorkspaceManager, "finish">;
  readonly engineSlots: Semaphore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborted at disposal. */
  readonly disposal: AbortSignal;
}

/** A client that lost its daemon reconnects for 30 s. */
const READER_RETURNS_WITHIN_MS = 30_000;

/** A person may read the output with a pager. */
const HOLD_CLEANUP_MS = 600_000;

/** The readers of a run's output, and the removal of its container after them. */
export class TaskCleanup {
  readonly #options: TaskCleanupOptions;
  /** The clients that read the output. */
  readonly #readers = new Set<Promise<void>>();
  readonly #readerArrived = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<void>();
  #hasReaderArrived = false;

  constructor(options: TaskCleanupOptions) {
    this.#options = options;
  }

  /** Resolves when the container was dealt with, so that the id is free in every layer. Never rejects. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** The task has ended, and each reader of its output has received all of it, or has disconnected. */
  get isOutputTaken(): boolean {
    const { task, outputAwaited } = this.#options.record();
    return task.endedAt !== undefined && !outputAwaited && this.#readers.size === 0;
  }

  /**
   * Keeps the container until the client has read the output, which the promise says.
   * @param options.returns whether the client returns to the next process
   */
  addReader(reading: Promise<unknown>, { returns }: { readonly returns: boolean }): void {
    // The container is being removed.
    if (this.isOutputTaken) return;
    this.#track(reading.then(() => {}, () => {}));
    this.#hasReaderArrived = true;
    this.#readerArrived.resolve();
    if (returns && !this.#options.record().outputAwaited) this.#options.save({ outputAwaited: true });
  }

  /** Keeps the container until a client that read the output from an earlier process is done, or does not return. */
  expectReader(): void {
    const { record, clock, disposal: abort } = this.#options;
    if (!record().outputAwaited || this.#hasReaderArrived) return;
    const limits = { timeoutMs: READER_RETURNS_WITHIN_MS, clock, abort };
    this.#track(settlesWithin(this.#readerArrived.promise, limits));
  }

  /** Deals with the container of the ended task, after that of the previous run. Never rejects. */
  async run(): Promise<void> {
    const { record, save, predecessor } = this.#options;
    await predecessor;
    if (record().cleanupPending && await this.#finishWorkspace()) save({ cleanupPending: false });
    this.#done.resolve();
  }

  /** Leaves the container to another process. */
  skip(): void {
    this.#done.resolve();
  }

  /** False if the container could not be removed: the failure is logged, and the next process tries again. Never rejects. */
  async #finishWorkspace(): Promise<boolean> {
    const { record, workspaces, engineSlots, clock, disposal, logger } = this.#options;
    const { taskId, state } = record().task;
    if (state === "pending" || state === "running") return false;
    if (this.#readers.size > 0) {
      await settlesWithin(this.#untilRead(), { timeoutMs: HOLD_CLEANUP_MS, clock, abort: disposal });
      // The next process keeps the container for the readers.
      if (disposal.aborted) return false;
    }
    try {
      return await engineSlots.run(() => workspaces.finish(taskId, state));
    } catch (error) {
      logger.error(`cannot clean up after task ${taskId}: ${messageOf(error)}`);
      return false;
    }
  }

  async #untilRead(): Promise<void> {
    while (this.#readers.size > 0) await Promise.all(this.#readers);
  }

  #track(reading: Promise<unknown>): void {
    const { record, save, disposal } = this.#options;
    const tracked = reading.then(() => {
      this.#readers.delete(tracked);
      // After disposal, the readers return to the next process.
      const isLast = this.#readers.size === 0 && !disposal.aborted;
      if (isLast && record().outputAwaited) save({ outputAwaited: false });
    });
    this.#readers.add(tracked);
  }
}
