/**
 * All tasks: takes new ones, keeps those that have not ended (the rest is the store's), and brings the engine's events to
 * the runs that they are about. The map of living tasks, their rows and their events change together.
 */
import { ApexError } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { signalNumber } from "../platform/signals.ts";
import type { TaskStore } from "../storage/task_store.ts";
import { isKept } from "../workspaces/workspace.ts";
import type {
  WorkspaceManager,
  WorkspaceManagerEventName,
  WorkspaceManagerEvents,
} from "../workspaces/workspace_manager.ts";
import { resumeTasks } from "./resume_tasks.ts";
import type { Task, TaskSpec } from "./task.ts";
import { exitOfCode, exitOfDeath, exitOfStop } from "./task_end.ts";
import type { TaskEvent, TaskEventName } from "./task_events.ts";
import type { FollowTaskOptions, RunTaskOptions, TaskHandle } from "./task_handle.ts";
import { TaskQueue } from "./task_queue.ts";
import { recordOf, rowOf, type TaskRecord } from "./task_row.ts";
import { TaskRun } from "./task_run.ts";
import type { TaskRunContext } from "./task_run_context.ts";
import { cleanupPolicyOf, namedTaskSpec } from "./task_spec.ts";

export interface TaskRunnerOptions {
  readonly workspaces: WorkspaceManager;
  readonly store: TaskStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** 1 or more, or `Infinity`. */
  readonly maxConcurrentTasks: number;
  readonly stopTimeoutSeconds: number;
  readonly emit: (name: TaskEventName, event: TaskEvent) => void;
}

/** Tasks that have not ended, waiting ones included; each is a few KiB. */
const MAX_LIVING_TASKS = 10_000;

/** More at once only make each of them slower, until the engine's replies come too late. */
const MAX_ENGINE_TURNS = 16;

/** Longest wait of disposal for what the engine was asked; the rest is found out by the next life. */
const DISPOSE_WITHIN_MS = 5_000;

export class TaskRunner implements AsyncDisposable {
  readonly #options: TaskRunnerOptions;
  readonly #context: TaskRunContext;
  /** Those that have not ended, in the order of their creation. */
  readonly #living = new Map<string, TaskRun>();
  readonly #byContainer = new Map<string, TaskRun>();
  /** Ended ones whose container is still to be dealt with; of several with one id, the last. */
  readonly #leaving = new Map<string, TaskRun>();
  /** Of an earlier life, until they are taken up. */
  readonly #stored: TaskRun[] = [];
  readonly #work = new Set<Promise<void>>();
  readonly #disposal = new AbortController();
  #disposed: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: TaskRunnerOptions) {
    const { workspaces, clock, logger, stopTimeoutSeconds } = options;
    this.#options = options;
    this.#context = {
      workspaces,
      clock,
      logger,
      stopTimeoutSeconds,
      turns: new TaskQueue(options.maxConcurrentTasks),
      engineTurns: new TaskQueue(MAX_ENGINE_TURNS),
      disposal: this.#disposal.signal,
      changed: (run, told) => this.#changed(run, told),
      track: (work) => this.#track(work),
    };
    for (const row of options.store.unfinished()) this.#load(recordOf(row));
  }

  run(spec: TaskSpec, options: RunTaskOptions): TaskHandle {
    const { store, clock, workspaces: { engineId } } = this.#options;
    if (this.#disposal.signal.aborted) throw new Error("Cannot run a task on a disposed orchestrator");
    const named = namedTaskSpec(spec, (id) => this.#living.has(id) || store.get(id) !== undefined);
    const { onPullProgress, onInput, requestId, holdCleanup } = options;
    const begun = requestId === undefined ? undefined : this.#follow(named.taskId, options);
    if (begun !== undefined) return begun;
    this.#checkIsFree(named.taskId);
    const task: Task = {
      taskId: named.taskId,
      run: (store.lastRun(named.taskId) ?? 0) + 1,
      state: "pending",
      image: named.image,
      cmd: named.cmd ?? [],
      ...(named.projectDir !== undefined && { workspacePath: named.projectDir }),
      createdAt: new Date(clock.now()),
    };
    const run = new TaskRun({
      ...(onPullProgress !== undefined && { onPullProgress }),
      ...(onInput !== undefined && { onInput }),
      record: {
        task,
        spec: named,
        cleanupPending: false,
        // Only by the request's id a client can ask for this very task again.
        outputAwaited: holdCleanup !== undefined && requestId !== undefined,
        ...(requestId !== undefined && { requestId }),
        ...(engineId !== undefined && { engineId }),
      },
      context: this.#context,
      predecessor: this.#leaving.get(named.taskId),
    });
    if (holdCleanup !== undefined) run.addReader(holdCleanup, { returns: requestId !== undefined });
    this.#leaveToThisLife(named.taskId);
    this.#living.set(named.taskId, run);
    run.accept();
    return handleOf(run, run.waitForTurn());
  }

  follow(taskId: string, options: FollowTaskOptions): TaskHandle {
    const handle = this.#follow(taskId, options);
    if (handle === undefined) throw noSuchTask(taskId, "wait for");
    return handle;
  }

  async cancel(taskId: string): Promise<Task> {
    const run = this.#livingRun(taskId, "cancel");
    const task = await run.cancel();
    return this.#endOf(task);
  }

  async signal(taskId: string, signal: string): Promise<void> {
    if (signalNumber(signal) === undefined) {
      throw new ApexError("usage", `no such signal: "${signal}" (SIGINT, INT and 2 are ways to write one)`);
    }
    await this.#livingRun(taskId, `send ${signal} to`).signal(signal);
  }

  get(taskId: string): Task | undefined {
    const living = this.#living.get(taskId);
    if (living !== undefined) return living.task;
    const row = this.#options.store.get(taskId);
    return row === undefined ? undefined : recordOf(row).task;
  }

  runs(taskId: string): Task[] {
    return this.#options.store.runs(taskId).map((row) => recordOf(row).task);
  }

  keeps(containerId: string): boolean {
    return this.#options.store.kept.has(containerId);
  }

  list({ all = false }: { readonly all?: boolean }): Task[] {
    const living = [...this.#living.values()].reverse().map((run) => run.task);
    if (!all) return living;
    const ended = this.#options.store.ended().map((row) => recordOf(row).task);
    return [...living, ...ended].sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  }

  async wait(taskId: string, signal?: AbortSignal): Promise<Task> {
    signal?.throwIfAborted();
    const run = this.#living.get(taskId);
    if (run === undefined) {
      const ended = this.get(taskId);
      if (ended === undefined) throw noSuchTask(taskId, "wait for");
      return ended;
    }
    return this.#endOf(await (signal === undefined ? run.whenEnded : run.untilEnded(signal)));
  }

  async adopt(): Promise<void> {
    const { engineId } = this.#options.workspaces;
    const { here = [], elsewhere = [] } = Object.groupBy(
      this.#stored.splice(0),
      ({ record }) => (record.engineId ?? engineId) === engineId ? "here" : "elsewhere",
    );
    for (const run of elsewhere) run.leaveElsewhere();
    if (elsewhere.length > 0) {
      this.#options.logger.warn(`${elsewhere.length} tasks are on another engine, and are left as they are`);
    }
    for (const run of here) run.expectReader();
    const resumed = resumeTasks(here, { ...this.#options, signal: this.#disposal.signal });
    // Who called hears of a failure; disposal only waits.
    this.#track(resumed.catch(() => {}));
    await resumed;
  }

  /** Brings an event of the layer below to the run that it is about. */
  take<Name extends WorkspaceManagerEventName>(name: Name, event: WorkspaceManagerEvents[Name]): void {
    const told = { name, event } as ToldEvent;
    if (told.name === "workspace-created") {
      this.#living.get(told.event.taskId)?.created(told.event.containerId);
      return;
    }
    if (!("success" in told.event) || !told.event.success) return;
    if (told.name === "container:removed") this.#options.store.kept.remove(told.event.containerId);
    const run = this.#byContainer.get(told.event.containerId);
    if (run === undefined || run.task.containerId !== told.event.containerId) return;
    const { timestamp } = told.event;
    if (told.name === "container:started") run.started(timestamp);
    else if (told.name === "container:died") run.exited(exitOfDeath(told.event));
    else if (told.name === "container:stopped" && told.event.success) run.exited(exitOfStop(told.event));
    else if (told.name === "container:removed" && told.event.success) {
      run.removed(exitOfCode(told.event.exitCode, timestamp));
    }
  }

  /** Leaves running tasks running. May be called again. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposed ??= this.#dispose();
  }

  async #dispose(): Promise<void> {
    this.#disposal.abort();
    for (const run of this.#living.values()) run[Symbol.dispose]();
    await settlesWithin(Promise.all(this.#work), {
      timeoutMs: DISPOSE_WITHIN_MS,
      clock: this.#options.clock,
    });
    // Whoever owns the store may close it now.
    this.#isClosed = true;
  }

  #load(record: TaskRecord): void {
    const run = new TaskRun({ record, context: this.#context });
    const { taskId, containerId, endedAt } = record.task;
    if (endedAt === undefined) {
      this.#living.set(taskId, run);
      if (containerId !== undefined) this.#byContainer.set(containerId, run);
    } else this.#leave(taskId, run);
    this.#stored.push(run);
  }

  #changed(run: TaskRun, told?: { readonly name: TaskEventName; readonly timestamp: Date }): void {
    if (this.#isClosed) return;
    const { taskId, containerId, exitCode, reason, state } = run.task;
    const hasEnded = run.task.endedAt !== undefined;
    if (containerId !== undefined) {
      if (hasEnded) this.#byContainer.delete(containerId);
      else this.#byContainer.set(containerId, run);
    }
    if (hasEnded && this.#living.get(taskId) === run) {
      this.#living.delete(taskId);
      this.#leave(taskId, run);
    }
    const { spec, cleanupPending } = run.record;
    const isLeft = hasEnded && !cleanupPending && isKept(cleanupPolicyOf(spec), state);
    if (isLeft && containerId !== undefined) this.#options.store.kept.save({ containerId });
    const current = this.#living.get(taskId) ?? this.#leaving.get(taskId) ?? run;
    const record = current === run ? run.record : { ...run.record, cleanupPending: false };
    this.#options.store.save(rowOf(record));
    if (told === undefined) return;
    this.#options.emit(told.name, {
      taskId,
      timestamp: told.timestamp,
      ...(containerId !== undefined && { containerId }),
      ...(exitCode !== undefined && { exitCode }),
      ...(reason !== undefined && { reason }),
    });
  }

  /**
   * The id is used again: a container of an earlier run that is still to be dealt with is that of this life alone. The next
   * one takes up one run of an id, the last.
   */
  #leaveToThisLife(taskId: string): void {
    const { store } = this.#options;
    for (const row of store.runs(taskId)) {
      if (row.cleanupPending) store.save({ ...row, cleanupPending: false });
    }
  }

  #follow(
    taskId: string,
    { requestId, run: number, holdCleanup }: FollowTaskOptions,
  ): TaskHandle | undefined {
    const isIt = ({ task, ...record }: TaskRecord): boolean =>
      (requestId === undefined || record.requestId === requestId) &&
      (number === undefined || task.run === number);
    const run = [this.#living.get(taskId), this.#leaving.get(taskId)].find((each) =>
      each !== undefined && isIt(each.record)
    );
    if (run !== undefined) {
      if (holdCleanup !== undefined) run.addReader(holdCleanup, { returns: true });
      return handleOf(run, run.pendingAhead);
    }
    const ended = this.#options.store.runs(taskId).map(recordOf).find(isIt);
    return ended === undefined ? undefined : handleOfEnded(ended.task);
  }

  #leave(taskId: string, run: TaskRun): void {
    this.#leaving.set(taskId, run);
    void run.whenCleaned.then(() => {
      if (this.#leaving.get(taskId) === run) this.#leaving.delete(taskId);
    });
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    void work.finally(() => this.#work.delete(work));
  }

  #checkIsFree(taskId: string): void {
    const living = this.#living.get(taskId);
    if (living !== undefined) {
      throw new ApexError(
        "conflict",
        `cannot run task "${taskId}": a task of that id is ${living.task.state} ` +
          `(wait for its end with apex wait ${taskId}, or use another id)`,
      );
    }
    if (this.#living.size >= MAX_LIVING_TASKS) {
      throw new ApexError(
        "busy",
        `cannot run task "${taskId}": ${MAX_LIVING_TASKS} tasks have not ended yet (wait for some of them)`,
      );
    }
  }

  #livingRun(taskId: string, verb: string): TaskRun {
    const run = this.#living.get(taskId);
    if (run !== undefined) return run;
    const ended = this.get(taskId);
    if (ended === undefined) throw noSuchTask(taskId, verb);
    throw new ApexError("conflict", `cannot ${verb} task "${taskId}": it has ended (${ended.state})`);
  }

  #endOf(task: Task): Task {
    if (task.endedAt !== undefined) return task;
    throw new ApexError("interrupted", `task "${task.taskId}" goes on: apex ended before it did`);
  }
}

/** An event of the layer below with its name, so that the name tells which event it is. */
type ToldEvent = {
  [Name in WorkspaceManagerEventName]: { readonly name: Name; readonly event: WorkspaceManagerEvents[Name] };
}[WorkspaceManagerEventName];

function handleOf(run: TaskRun, pendingAhead: number): TaskHandle {
  return {
    taskId: run.task.taskId,
    get task() {
      return run.task;
    },
    pendingAhead,
    get isOutputTaken() {
      return run.isOutputTaken;
    },
    get leaving() {
      return run.isOutputTaken ? run.whenCleaned : undefined;
    },
    started: run.whenStarted,
    ended: run.whenEnded,
  };
}

function handleOfEnded(task: Task): TaskHandle {
  const ended = Promise.resolve(task);
  return { taskId: task.taskId, task, pendingAhead: 0, isOutputTaken: true, started: ended, ended };
}

function noSuchTask(taskId: string, verb: string): ApexError {
  return new ApexError("not_found", `cannot ${verb} task "${taskId}": no such task (try: apex tasks --all)`);
}
