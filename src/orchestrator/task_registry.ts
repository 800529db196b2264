import { ApexError } from "../platform/apex_error.ts";
import { definedFields } from "../platform/defined_fields.ts";
import type { TaskStore } from "../storage/task_store.ts";
import { isKept } from "../workspaces/workspace.ts";
import type { FollowTaskOptions, Task, TaskEvent, TaskEventName, TaskHandle } from "./task.ts";
import { recordOf, rowOf, type TaskRecord } from "./task_record.ts";
import type { TaskRun } from "./task_run.ts";
import { cleanupPolicyOf } from "./task_spec.ts";

export interface TaskRegistryOptions {
  readonly store: TaskStore;
  readonly emit: (name: TaskEventName, event: TaskEvent) => void;
}

/** Tasks that have not ended, queued ones included. Each takes a few KiB. */
const MAX_ACTIVE_TASKS = 10_000;

/**
 * All tasks. The registry owns the runs that have not ended, and the ended ones whose container is not cleaned up yet; the
 * store has the rest. The registry, the rows of the store and the events change together, in {@linkcode changed}.
 */
export class TaskRegistry {
  readonly #options: TaskRegistryOptions;
  /** The runs that have not ended, by task id, in the order of their creation. */
  readonly #active = new Map<string, TaskRun>();
  /** The runs that have not ended, by the id of their container. */
  readonly #byContainer = new Map<string, TaskRun>();
  /** The last ended run of each id whose container is not cleaned up yet. */
  readonly #leaving = new Map<string, TaskRun>();
  #isClosed = false;

  constructor(options: TaskRegistryOptions) {
    this.#options = options;
  }

  /** The runs that have not ended. */
  active(): TaskRun[] {
    return [...this.#active.values()];
  }

  activeRun(taskId: string): TaskRun | undefined {
    return this.#active.get(taskId);
  }

  /** The ended run of that id whose container is not cleaned up yet. */
  leavingRun(taskId: string): TaskRun | undefined {
    return this.#leaving.get(taskId);
  }

  withContainer(containerId: string): TaskRun | undefined {
    const run = this.#byContainer.get(containerId);
    return run?.task.containerId === containerId ? run : undefined;
  }

  /** Whether a task with that id was ever accepted, and is still known. */
  has(taskId: string): boolean {
    return this.#active.has(taskId) || this.#options.store.get(taskId) !== undefined;
  }

  /** The number of the next run of that id. */
  nextRun(taskId: string): number {
    return (this.#options.store.lastRun(taskId) ?? 0) + 1;
  }

  /** @throws {ApexError} `conflict` if a task with that id has not ended; `busy` if too many tasks have not ended */
  checkIsFree(taskId: string): void {
    const active = this.#active.get(taskId);
    if (active !== undefined) {
      throw new ApexError(
        "conflict",
        `cannot run task "${taskId}": a task with that id is ${active.task.state} ` +
          `(wait for its end with apex wait ${taskId}, or use another id)`,
      );
    }
    if (this.#active.size >= MAX_ACTIVE_TASKS) {
      throw new ApexError(
        "busy",
        `cannot run task "${taskId}": ${MAX_ACTIVE_TASKS} tasks have not ended (wait for some of them)`,
      );
    }
  }

  /** Adds a new run. */
  add(run: TaskRun): void {
    const { store } = this.#options;
    const { taskId } = run.task;
    // Only this process still cleans up after an earlier run. The next one resumes one run of each id, the last.
    for (const row of store.runs(taskId)) {
      if (row.cleanupPending) store.save({ ...row, cleanupPending: false });
    }
    this.#active.set(taskId, run);
  }

  /** Adds a run of an earlier process. */
  load(run: TaskRun): void {
    const { taskId, containerId, endedAt } = run.task;
    if (endedAt !== undefined) return this.#leave(taskId, run);
    this.#active.set(taskId, run);
    if (containerId !== undefined) this.#byContainer.set(containerId, run);
  }

  /** Saves a run that has changed, and emits the event, if there is one. */
  changed(run: TaskRun, event?: { readonly name: TaskEventName; readonly timestamp: Date }): void {
    if (this.#isClosed) return;
    const { store, emit } = this.#options;
    const { taskId, containerId, exitCode, reason, state, endedAt } = run.task;
    const hasEnded = endedAt !== undefined;
    if (containerId !== undefined) {
      if (hasEnded) this.#byContainer.delete(containerId);
      else this.#byContainer.set(containerId, run);
    }
    if (hasEnded && this.#active.get(taskId) === run) {
      this.#active.delete(taskId);
      this.#leave(taskId, run);
    }
    const { spec, cleanupPending } = run.record;
    const keepsContainer = hasEnded && !cleanupPending && isKept(cleanupPolicyOf(spec), state);
    if (keepsContainer && containerId !== undefined) store.kept.save({ containerId });
    const current = this.#active.get(taskId) ?? this.#leaving.get(taskId) ?? run;
    store.save(rowOf(current === run ? run.record : { ...run.record, cleanupPending: false }));
    if (event === undefined) return;
    const { name, timestamp } = event;
    emit(name, definedFields({ taskId, timestamp, containerId, exitCode, reason }));
  }

  /** From now on nothing is saved or emitted: the owner of the store may close it. */
  close(): void {
    this.#isClosed = true;
  }

  get(taskId: string): Task | undefined {
    const active = this.#active.get(taskId);
    if (active !== undefined) return active.task;
    const row = this.#options.store.get(taskId);
    return row === undefined ? undefined : recordOf(row).task;
  }

  /** The stored runs of that id, the last one first. */
  runs(taskId: string): Task[] {
    return this.#options.store.runs(taskId).map((row) => recordOf(row).task);
  }

  /** The newest first. @param options.all ended ones too */
  list({ all = false }: { readonly all?: boolean }): Task[] {
    const active = this.active().reverse().map((run) => run.task);
    if (!all) return active;
    const ended = this.#options.store.ended().map((row) => recordOf(row).task);
    return [...active, ...ended].sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  }

  /** Follows the run with that id, request and number. Adds the reader of `holdCleanup`, if the container still exists. */
  follow(taskId: string, options: FollowTaskOptions): TaskHandle | undefined {
    const { requestId, run: number, holdCleanup } = options;
    const matches = ({ task, ...record }: TaskRecord): boolean =>
      (requestId === undefined || record.requestId === requestId) &&
      (number === undefined || task.run === number);
    const run = [this.#active.get(taskId), this.#leaving.get(taskId)].find((each) =>
      each !== undefined && matches(each.record)
    );
    if (run !== undefined) {
      if (holdCleanup !== undefined) run.cleanup.addReader(holdCleanup, { returns: true });
      return handleOf(run);
    }
    const task = this.#options.store.runs(taskId).map(recordOf).find(matches)?.task;
    if (task === undefined) return undefined;
    const ended = Promise.resolve(task);
    return { taskId, task, pendingAhead: 0, isOutputTaken: true, started: ended, ended };
  }

  /**
   * The run that has not ended.
   * @param verb for the error message
   * @throws {ApexError} `not_found`; `conflict` if the task has ended
   */
  expectActive(taskId: string, verb: string): TaskRun {
    const run = this.#active.get(taskId);
    if (run !== undefined) return run;
    const { state } = this.get(taskId) ?? noSuchTask(taskId, verb);
    throw new ApexError("conflict", `cannot ${verb} task "${taskId}": it has ended (${state})`);
  }

  #leave(taskId: string, run: TaskRun): void {
    this.#leaving.set(taskId, run);
    void run.cleanup.done.then(() => {
      if (this.#leaving.get(taskId) === run) this.#leaving.delete(taskId);
    });
  }
}

/** The current {@linkcode TaskHandle} of a run that this process knows. */
export function handleOf(run: TaskRun): TaskHandle {
  return {
    taskId: run.task.taskId,
    get task() {
      return run.task;
    },
    pendingAhead: run.pendingAhead,
    get isOutputTaken() {
      return run.cleanup.isOutputTaken;
    },
    get leaving() {
      return run.cleanup.isOutputTaken ? run.cleanup.done : undefined;
    },
    started: run.started,
    ended: run.ended.promise,
  };
}

/** @throws {ApexError} `not_found` */
export function noSuchTask(taskId: string, verb: string): never {
  throw new ApexError("not_found", `cannot ${verb} task "${taskId}": no such task (see: apex tasks --all)`);
}
