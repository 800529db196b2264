/**
 * One run of a task, in phases: queued → creating → starting → running → ended; after that, its container is cleaned up.
 * `TaskLaunch` takes it through the queue to the started container, `TaskStop` stops it, and `TaskCleanup` follows.
 *
 * The run owns the state. The engine's events change it (`onCreated`, `onStarted`, `onExited`, `onRemoved`). Replies change it
 * only where no event will come: when a container could not be created or started. Each change of state, its row and its event
 * are one synchronous block ({@linkcode TaskRunContext.onChange}). The file is long because every transition
 * reads or writes the same state.
 */
import { ApexError } from "../platform/apex_error.ts";
import { Latch } from "../platform/async/latch.ts";
import type { Semaphore } from "../platform/async/semaphore.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import { type Clock, runAt } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";
import type { RunTaskOptions, Task, TaskEventName } from "./task.ts";
import { TaskCleanup } from "./task_cleanup.ts";
import { endOfExit, endOfFailure, exitOfCode, type TaskEnd, type TaskExit } from "./task_end.ts";
import { TaskLaunch } from "./task_launch.ts";
import type { TaskRecord } from "./task_record.ts";
import { TaskStop } from "./task_stop.ts";

/** What all runs share. */
export interface TaskRunContext {
  readonly workspaces: WorkspaceManager;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stopTimeoutSeconds: number;
  /** For the tasks that run at once. */
  readonly taskSlots: Semaphore;
  /** For the requests that the engine works on at once. */
  readonly engineSlots: Semaphore;
  /** Aborted at disposal. */
  readonly disposal: AbortSignal;
  /** Saves the record of the run, and emits the event, if there is one. */
  readonly onChange: (
    run: TaskRun,
    event?: { readonly name: TaskEventName; readonly timestamp: Date },
  ) => void;
  /** Called with work in the background, for which disposal waits. */
  readonly track: (work: Promise<void>) => void;
}

export interface TaskRunOptions extends Pick<RunTaskOptions, "onPullProgress" | "onInput"> {
  readonly record: TaskRecord;
  readonly context: TaskRunContext;
  /** An ended run of the same id that is not cleaned up yet. */
  readonly predecessor?: TaskRun | undefined;
}

/** `stored`: of an earlier process, and not resumed yet; `elsewhere`: not resumed, because it is on another engine. */
export type TaskPhase = "stored" | "elsewhere" | "queued" | "creating" | "starting" | "running" | "ended";

/** A failed start is published after the creation of the container, whose event may take this long. */
const CREATED_EVENT_WITHIN_MS = 1_000;

/** One run of a task. */
export class TaskRun implements Disposable {
  readonly cleanup: TaskCleanup;
  readonly #context: TaskRunContext;
  readonly #launch: TaskLaunch;
  readonly #stop: TaskStop;
  /** Aborted when the run has ended, when it is cancelled before its container exists, and at disposal. */
  readonly #abort = new AbortController();
  readonly #started = Promise.withResolvers<Task>();
  readonly #ended = new Latch<Task>();
  readonly #createdPublished = Promise.withResolvers<void>();
  #record: TaskRecord;
  #phase: TaskPhase;
  /** The launch, or the look at a container of an earlier process. */
  #underWay: Promise<void> | undefined;
  #cancelling: Promise<Task> | undefined;
  /** The engine has replied that it started the container. */
  #isStartAccepted = false;
  /** An exit that was reported before the start. */
  #earlyExit: TaskExit | undefined;
  #cancelTimeout = (): void => {};
  #isDisposed = false;

  constructor({ record, context, predecessor, ...callbacks }: TaskRunOptions) {
    const { task, spec } = record;
    const abort = this.#abort.signal;
    this.#context = context;
    this.#record = record;
    this.#phase = task.endedAt === undefined ? "stored" : "ended";
    this.#launch = new TaskLaunch({
      ...context,
      ...callbacks,
      spec,
      predecessor: predecessor?.cleanup.done,
      abort,
      onBegin: (work) => this.#begin(work),
      onStep: (step) => {
        if (this.#phase === "queued" || this.#phase === "creating") this.#phase = step;
      },
      onCreated: (containerId) => this.#identify(containerId),
      onStarted: () => {
        this.#isStartAccepted = true;
        this.#publishLostStart();
      },
      onFailed: (error) => this.#fail(error),
    });
    this.#stop = new TaskStop({ ...context, taskId: task.taskId, abort });
    this.cleanup = new TaskCleanup({
      ...context,
      predecessor: predecessor?.cleanup.done,
      record: () => this.#record,
      save: (changes) => this.#save(changes),
    });
    if (task.state !== "pending") this.#started.resolve(task);
    if (task.endedAt !== undefined) this.#ended.open(task);
  }

  get record(): TaskRecord {
    return this.#record;
  }

  get task(): Task {
    return this.#record.task;
  }

  get phase(): TaskPhase {
    return this.#phase;
  }

  /** Resolves when the task runs, or has ended without running. Never rejects. */
  get started(): Promise<Task> {
    return this.#started.promise;
  }

  get ended(): Latch<Task> {
    return this.#ended;
  }

  /** How many tasks had to end before this one could start, when it was queued; 0 if it has left the queue. */
  get pendingAhead(): number {
    return this.#phase === "queued" ? this.#launch.ahead : 0;
  }

  /** Publishes the new task. */
  accept(): void {
    this.#phase = "queued";
    this.#change({}, "task:created", this.task.createdAt);
  }

  /**
   * Puts the task in the queue.
   * @param options.hasContainer an earlier process created the container, and did not start it
   */
  enqueue({ hasContainer = false } = {}): void {
    // A listener of `task:created` may have cancelled the task.
    if (this.#phase === "ended") return;
    this.#phase = "queued";
    this.#launch.enqueue({ hasContainer });
  }

  /** Resumes a task that is known to run. */
  resumeRunning(): void {
    this.#launch.occupySlot();
    this.#phase = "running";
    this.#resumeStop();
    this.#armTimeout();
  }

  /**
   * Resumes a task whose container was started by an earlier process, and may have exited. `look` finds out. Events that
   * arrive before its result wait for it. Never rejects.
   */
  async resumeStarted(look: () => Promise<{ startedAt: Date; exit?: TaskExit }>): Promise<void> {
    this.#launch.occupySlot();
    this.#begin(this.#resumeAfter(look));
    await this.#underWay;
  }

  /** Ends a task whose container was removed, or never ran, and whose exit is unknown. */
  endWithoutExit(): void {
    this.#end(endOfExit(exitOfCode(undefined, this.#now()), this.#record.stopCause), this.#now());
  }

  /** Leaves a task that is on another engine to the next process that follows that engine. */
  leaveElsewhere(): void {
    if (this.#phase === "ended") this.cleanup.skip();
    else this.#phase = "elsewhere";
  }

  /** The creation of the container was published. */
  onCreated(containerId: string | undefined): void {
    this.#identify(containerId);
    this.#createdPublished.resolve();
  }

  onStarted(at: Date): void {
    if (this.task.state !== "pending") return;
    const isResumed = this.#phase !== "stored";
    if (isResumed) this.#phase = "running";
    this.#change({ state: "running", startedAt: at }, "task:started", at);
    this.#started.resolve(this.task);
    // As long as the run is not resumed, it does not stop its container.
    if (!isResumed) return;
    this.#armTimeout();
    if (this.#earlyExit !== undefined) this.onExited(this.#earlyExit);
  }

  onExited(exit: TaskExit): void {
    if (this.#phase === "running") return this.#end(endOfExit(exit, this.#record.stopCause), exit.at);
    // Docker reports `die` also for a container that it could not start. Then the failed start ends the task.
    this.#earlyExit = exit;
    this.#publishLostStart();
  }

  /** @param exit what is known of it from before the removal */
  onRemoved(exit: TaskExit): void {
    this.#end(endOfExit(this.#earlyExit ?? exit, this.#record.stopCause), exit.at);
  }

  /** Resolves when the task has ended. @throws if the engine refuses to stop the container; then the task continues */
  cancel(): Promise<Task> {
    return this.#cancelling ??= this.#cancel().finally(() => this.#cancelling = undefined);
  }

  /** Sends a Unix signal to the command. @throws {ApexError} `conflict` if it does not run; and what the engine says */
  async signal(signal: string): Promise<void> {
    const { taskId } = this.task;
    if (this.#phase !== "running") {
      const reason = this.#phase === "elsewhere" ? "it is on another engine" : "it has not started yet";
      throw new ApexError(
        "conflict",
        `cannot send ${signal} to task "${taskId}": ${reason} (to end it: apex cancel ${taskId})`,
      );
    }
    await this.#context.workspaces.signal(taskId, signal);
  }

  /** Leaves a task that has not ended: its promises resolve with the current snapshot. Idempotent. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#abort.abort();
    this.#cancelTimeout();
    this.#started.resolve(this.task);
    this.#ended.open(this.task);
  }

  #begin(work: Promise<void>): void {
    this.#underWay = work;
    this.#context.track(work);
  }

  /** The engine has started the container, and reports its exit: the start event between them was lost. */
  #publishLostStart(): void {
    if (!this.#isStartAccepted || this.#phase !== "starting" || this.#earlyExit === undefined) return;
    this.onStarted(this.#earlyExit.at);
  }

  /** The launch has failed. */
  async #fail(error: unknown): Promise<void> {
    if (this.#isDisposed) return;
    if (this.task.containerId !== undefined) {
      const { signal } = this.#abort;
      await settlesWithin(this.#createdPublished.promise, {
        timeoutMs: CREATED_EVENT_WITHIN_MS,
        clock: this.#context.clock,
        // A cancelled launch has aborted it already.
        abort: signal.aborted ? undefined : signal,
      });
    }
    // The engine's events take precedence: another process may have started the container.
    if (this.#isDisposed || this.#phase === "running") return;
    this.#end(endOfFailure(error, this.#record.stopCause), this.#now());
  }

  async #resumeAfter(look: () => Promise<{ startedAt: Date; exit?: TaskExit }>): Promise<void> {
    this.#phase = "starting";
    const { startedAt, exit } = await this.#context.engineSlots.run(look);
    if (this.#isDisposed || this.#phase !== "starting") return;
    if (exit !== undefined) this.#earlyExit = exit;
    if (this.task.state === "pending") this.onStarted(startedAt);
    else {
      this.#phase = "running";
      if (this.#earlyExit !== undefined) this.onExited(this.#earlyExit);
      else this.#armTimeout();
    }
    this.#resumeStop();
  }

  /** Continues a stop that an earlier process began. */
  #resumeStop(): void {
    if (this.#record.stopCause !== undefined && this.#phase === "running") {
      this.#context.track(this.#stop.untilDone());
    }
  }

  async #cancel(): Promise<Task> {
    if (this.#phase === "elsewhere") {
      const error =
        "given up because its engine is not the current one; its container, if any, was left there";
      this.#end({ state: "cancelled", error }, this.#now());
    }
    if (this.#record.stopCause !== undefined) return await this.ended.promise;
    this.#save({ stopCause: "cancel" });
    if (this.#phase === "queued") this.#end({ state: "cancelled" }, this.#now());
    if (this.#phase === "creating") this.#abort.abort(cancelled(this.task));
    // The engine's reply says whether there is a container to stop.
    if (this.#phase === "starting") await this.#underWay;
    if (this.#phase === "starting" || this.#phase === "running") await this.#stopForCancel();
    return await this.ended.promise;
  }

  async #stopForCancel(): Promise<void> {
    try {
      await this.#stop.once();
    } catch (error) {
      const { stopCause: _stopCause, ...record } = this.#record;
      this.#record = record;
      this.#context.onChange(this);
      this.#armTimeout();
      throw error;
    }
  }

  /** Restarts the timer. If the time is already over, the task is stopped soon, but not inside this call. */
  #armTimeout(): void {
    const { task: { startedAt }, spec: { timeoutMs } } = this.#record;
    if (timeoutMs === undefined || startedAt === undefined || this.#abort.signal.aborted) return;
    this.#cancelTimeout();
    const callback = (): void => this.#onTimeout();
    this.#cancelTimeout = runAt(startedAt.getTime() + timeoutMs, { clock: this.#context.clock, callback });
  }

  #onTimeout(): void {
    if (this.#record.stopCause !== undefined || this.#phase !== "running") return;
    this.#save({ stopCause: "timeout" });
    this.#context.track(this.#stop.untilDone());
  }

  #end(end: TaskEnd, at: Date): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#abort.abort();
    this.#cancelTimeout();
    const cleanupPending = this.#context.workspaces.get(this.task.taskId) !== undefined;
    this.#record = { ...this.#record, cleanupPending };
    this.#change({ ...end, endedAt: at }, `task:${end.state}`, at);
    this.#started.resolve(this.task);
    this.#ended.open(this.task);
    this.#launch.release();
    this.#context.track(this.cleanup.run());
  }

  #identify(containerId: string | undefined): void {
    if (containerId === undefined || containerId === this.task.containerId) return;
    this.#save({ task: { ...this.task, containerId } });
  }

  #change(changes: Partial<Task>, name: TaskEventName, timestamp: Date): void {
    this.#record = { ...this.#record, task: { ...this.task, ...changes } };
    this.#context.onChange(this, { name, timestamp });
  }

  #save(changes: Partial<TaskRecord>): void {
    this.#record = { ...this.#record, ...changes };
    this.#context.onChange(this);
  }

  #now(): Date {
    return new Date(this.#context.clock.now());
  }
}

function cancelled({ taskId }: Task): ApexError {
  return new ApexError("interrupted", `task "${taskId}" was cancelled before it started`);
}
