/**
 * One task's life: waiting → creating → starting → running → ended. What becomes of its container is told from above
 * (`created`, `started`, `exited`, `removed`), inside the engine's own event; what is asked of the engine goes on beside,
 * and its replies decide only where no event will come: when a container could not be created or started.
 *
 * Each change of state, its row and its event are one synchronous block ({@linkcode TaskRunContext.changed}). (One file
 * though long: every transition reads or writes the same few pieces of state.)
 */
import { ApexError } from "../platform/apex_error.ts";
import { Latch } from "../platform/async/latch.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import { OutputReaders } from "./output_readers.ts";
import type { Task } from "./task.ts";
import { finishWorkspace } from "./task_cleanup.ts";
import { endOfExit, endOfFailure, exitOfCode, type TaskEnd, type TaskExit } from "./task_end.ts";
import type { TaskEventName } from "./task_events.ts";
import type { RunTaskOptions } from "./task_handle.ts";
import { TaskInput } from "./task_input.ts";
import type { QueueTicket } from "./task_queue.ts";
import type { TaskRecord } from "./task_row.ts";
import type { TaskRunContext } from "./task_run_context.ts";
import { workspaceSpecOf } from "./task_spec.ts";
import { TaskStop } from "./task_stop.ts";
import { TaskTimeout } from "./task_timeout.ts";
import { wasStartedAllTheSame } from "./unclear_start.ts";

export interface TaskRunOptions extends Pick<RunTaskOptions, "onPullProgress" | "onInput"> {
  readonly record: TaskRecord;
  readonly context: TaskRunContext;
  /** An ended task of the same id whose container is still being dealt with. */
  readonly predecessor?: TaskRun | undefined;
}

/** `stored`: of an earlier life, and not taken up yet; `elsewhere`: it cannot be, as its engine is not the one here. */
export type TaskPhase = "stored" | "elsewhere" | "waiting" | "creating" | "starting" | "running" | "ended";

/** A failed start is told after the creation of the container, whose event may be on its way for so long. */
const CREATED_EVENT_WITHIN_MS = 1_000;

export class TaskRun implements Disposable {
  readonly #context: TaskRunContext;
  readonly #options: TaskRunOptions;
  readonly #timeout: TaskTimeout;
  readonly #stop: TaskStop;
  /** Ends what is being waited for: at the end, at disposal, and at a cancel before there is a container. */
  readonly #over = new AbortController();
  readonly #started = Promise.withResolvers<Task>();
  readonly #ended = new Latch<Task>();
  readonly #readers: OutputReaders;
  readonly #cleaned = Promise.withResolvers<void>();
  readonly #createdTold = Promise.withResolvers<void>();
  #record: TaskRecord;
  #phase: TaskPhase;
  #turn: QueueTicket | undefined;
  #engineTurn: QueueTicket | undefined;
  #hasPulled = false;
  /** Creating and starting, or finding out how it stands. */
  #underWay: Promise<void> | undefined;
  #cancelling: Promise<Task> | undefined;
  /** The engine's reply says that it was started. */
  #isStartAccepted = false;
  /** An exit that came before the start was known. */
  #earlyExit: TaskExit | undefined;
  #isDisposed = false;

  constructor(options: TaskRunOptions) {
    this.#options = options;
    this.#context = options.context;
    this.#record = options.record;
    const { task, spec } = options.record;
    this.#phase = task.endedAt === undefined ? "stored" : "ended";
    this.#timeout = new TaskTimeout({
      timeoutMs: spec.timeoutMs,
      clock: options.context.clock,
      onTimeout: () => this.#ranTooLong(),
    });
    this.#stop = new TaskStop({ taskId: task.taskId, context: options.context, over: this.#over.signal });
    const { clock, disposal } = options.context;
    this.#readers = new OutputReaders({
      clock,
      disposal,
      onNone: () => this.#outputTaken(),
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

  /** Resolves when it runs or has ended; like the next two it never rejects. */
  get whenStarted(): Promise<Task> {
    return this.#started.promise;
  }

  get whenEnded(): Promise<Task> {
    return this.#ended.promise;
  }

  /** The same, for who may give up: rejects with the signal's reason. */
  untilEnded(signal: AbortSignal): Promise<Task> {
    return this.#ended.until(signal);
  }

  /** Resolves when its container has been dealt with, and so its id is free down to the last layer. */
  get whenCleaned(): Promise<void> {
    return this.#cleaned.promise;
  }

  /** How many have to end before its turn comes, when it began to wait for that. */
  get pendingAhead(): number {
    return this.#phase === "waiting" ? this.#turn?.ahead ?? 0 : 0;
  }

  /** It has ended, and whoever read its output received everything or left: its container is dealt with. */
  get isOutputTaken(): boolean {
    return this.#phase === "ended" && !this.#record.outputAwaited && !this.#readers.isReading;
  }

  /**
   * A client reads its output until the promise settles: its container is left until then.
   * @param options.returns it is expected back in the next life
   */
  addReader(reading: Promise<unknown>, { returns }: { readonly returns: boolean }): void {
    // What was taken has no readers any more: its container is being removed.
    if (this.isOutputTaken) return;
    this.#readers.add(reading);
    if (returns && !this.#record.outputAwaited) this.#save({ outputAwaited: true });
  }

  /** A client read its output in an earlier life: its container is left until that one is back and done, or stays away. */
  expectReader(): void {
    if (this.#record.outputAwaited) this.#readers.expect();
  }

  /** Tells of the new task. */
  accept(): void {
    this.#phase = "waiting";
    this.#change({}, "task:created", this.task.createdAt);
  }

  /** @param hasContainer it was created in an earlier life, and never started; how many are ahead of it */
  waitForTurn(hasContainer = false): number {
    // A listener of its creation has cancelled it.
    if (this.#phase === "ended") return 0;
    this.#phase = "waiting";
    const { predecessor } = this.#options;
    const begin = (): void => {
      // A reader may hold that up for minutes: no turn at the engine until then, and a cancel ends this one at once.
      if (predecessor !== undefined) void predecessor.whenCleaned.then(() => this.#askEngine(hasContainer));
      else this.#askEngine(hasContainer);
    };
    this.#turn = this.#context.turns.enter(begin);
    return this.#turn.ahead;
  }

  /** Its container is up and was known to be: it goes on from there. */
  goOn(): void {
    this.#turn = this.#context.turns.occupy();
    this.#phase = "running";
    this.#resumeStop();
    this.#timeout.arm(this.task.startedAt);
  }

  /**
   * Its container has been started, and perhaps ended, while nobody looked: `look` finds out, and events that come
   * meanwhile wait for it. Never rejects.
   */
  async findOut(look: () => Promise<{ startedAt: Date; exit?: TaskExit }>): Promise<void> {
    this.#turn = this.#context.turns.occupy();
    this.#begin(this.#takeUp(look));
    await this.#underWay;
  }

  /** Its container is gone, or never ran, and nobody knows of an exit. */
  endWithoutExit(): void {
    this.#end(endOfExit(exitOfCode(undefined, this.#now()), this.#record.stopCause), this.#now());
  }

  /** It is on an engine that is not here: it waits for a life with that one, and nobody waits for its cleanup. */
  leaveElsewhere(): void {
    if (this.#phase === "ended") this.#cleaned.resolve();
    else this.#phase = "elsewhere";
  }

  /** The engine has told of its container. */
  created(containerId: string | undefined): void {
    this.#learn(containerId);
    this.#createdTold.resolve();
  }

  started(at: Date): void {
    if (this.task.state !== "pending") return;
    const isTakenUp = this.#phase !== "stored";
    if (isTakenUp) this.#phase = "running";
    this.#change({ state: "running", startedAt: at }, "task:started", at);
    this.#started.resolve(this.task);
    // Its container is not ours to stop or to remove yet.
    if (!isTakenUp) return;
    this.#timeout.arm(at);
    if (this.#earlyExit !== undefined) this.exited(this.#earlyExit);
  }

  exited(exit: TaskExit): void {
    // Docker tells a death of a container that it could not start; then the refusal of the start is the end.
    if (this.#phase === "running") return this.#end(endOfExit(exit, this.#record.stopCause), exit.at);
    this.#earlyExit = exit;
    this.#startWasLost();
  }

  /** @param exit as far as it is known from before */
  removed(exit: TaskExit): void {
    this.#end(endOfExit(this.#earlyExit ?? exit, this.#record.stopCause), exit.at);
  }

  /** Resolves with its end. @throws when the engine refuses to stop it; then it goes on */
  cancel(): Promise<Task> {
    return this.#cancelling ??= this.#cancel().finally(() => this.#cancelling = undefined);
  }

  /** @throws {ApexError} `conflict` when it does not run; whatever the engine says */
  async signal(signal: string): Promise<void> {
    const { taskId } = this.task;
    if (this.#phase !== "running") {
      const why = this.#phase === "elsewhere" ? "its engine is not here" : "it has not started yet";
      throw new ApexError(
        "conflict",
        `cannot send ${signal} to task "${taskId}": ${why} (apex cancel ${taskId} ends it)`,
      );
    }
    await this.#context.workspaces.signal(taskId, signal);
  }

  /** Deals with the container of the ended task. Never rejects. */
  async cleanUp(): Promise<void> {
    const { predecessor } = this.#options;
    await predecessor?.whenCleaned;
    const { cleanupPending } = this.#record;
    if (
      cleanupPending && await finishWorkspace(this.task, { context: this.#context, readers: this.#readers })
    ) {
      this.#save({ cleanupPending: false });
    }
    this.#cleaned.resolve();
  }

  /** The same, with nobody waiting for it but disposal. */
  cleanUpMeanwhile(): void {
    this.#context.track(this.cleanUp());
  }

  /** Lets go of a task that has not ended; its promises resolve as it stands. May be called again. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#over.abort();
    this.#timeout[Symbol.dispose]();
    this.#started.resolve(this.task);
    this.#ended.open(this.task);
  }

  #outputTaken(): void {
    if (this.#record.outputAwaited) this.#save({ outputAwaited: false });
  }

  #askEngine(hasContainer: boolean): void {
    if (this.#phase === "ended" || this.#isDisposed) return;
    this.#engineTurn = this.#context.engineTurns.enter(() => this.#begin(this.#launch(hasContainer)));
  }

  #begin(work: Promise<void>): void {
    this.#underWay = work;
    this.#context.track(work);
  }

  async #launch(hasContainer: boolean): Promise<void> {
    // It runs already when somebody else has started it.
    if (this.#phase === "waiting") this.#phase = hasContainer ? "starting" : "creating";
    try {
      if (!hasContainer) await this.#create();
      await this.#start();
    } catch (error) {
      await this.#couldNot(error);
    } finally {
      this.#engineTurn?.leave();
    }
  }

  async #create(): Promise<void> {
    const { signal } = this.#over;
    signal.throwIfAborted();
    const { spec } = this.#record;
    const { containerId } = await this.#context.workspaces.create(workspaceSpecOf(spec), {
      pull: spec.pull,
      abort: signal,
      onPullProgress: (progress) => {
        // A pull may take minutes: meanwhile the engine has time for others.
        this.#hasPulled = true;
        this.#engineTurn?.leave();
        this.#options.onPullProgress?.(progress);
      },
    });
    this.#learn(containerId);
    if (this.#hasPulled) this.#engineTurn = await this.#context.engineTurns.pass();
  }

  async #start(): Promise<void> {
    if (this.#record.stopCause === "cancel" || this.#isDisposed) throw cancelled(this.task);
    if (this.#phase === "creating") this.#phase = "starting";
    const { taskId } = this.task;
    if (this.#record.spec.stdin) await this.#openInput();
    try {
      await this.#context.workspaces.start(taskId);
    } catch (error) {
      const options = { taskId, context: this.#context, over: this.#over.signal };
      if (!await wasStartedAllTheSame(error, options)) throw error;
    }
    this.#isStartAccepted = true;
    this.#startWasLost();
  }

  /** In a later life nobody has its input any more: it reads the end at once rather than waits for ever. */
  async #openInput(): Promise<void> {
    const { workspaces, track } = this.#context;
    const input = new TaskInput(await workspaces.openInput(this.task.taskId, this.#over.signal));
    track(input.serve(this.#over.signal));
    if (this.#options.onInput === undefined) await input.end();
    else this.#options.onInput(input);
  }

  /** The engine has started it and tells of its exit: the event between them will not come any more. */
  #startWasLost(): void {
    if (!this.#isStartAccepted || this.#phase !== "starting" || this.#earlyExit === undefined) return;
    this.started(this.#earlyExit.at);
  }

  async #couldNot(error: unknown): Promise<void> {
    if (this.#isDisposed) return;
    if (this.task.containerId !== undefined) {
      const { clock } = this.#context;
      const { signal } = this.#over;
      await settlesWithin(this.#createdTold.promise, {
        timeoutMs: CREATED_EVENT_WITHIN_MS,
        clock,
        abort: signal.aborted ? undefined : signal,
      });
    }
    // The engine's events know better.
    if (this.#isDisposed || this.#phase === "running") return;
    this.#end(endOfFailure(error, this.#record.stopCause), this.#now());
  }

  async #takeUp(look: () => Promise<{ startedAt: Date; exit?: TaskExit }>): Promise<void> {
    this.#phase = "starting";
    const { startedAt, exit } = await this.#context.engineTurns.during(look);
    if (this.#isDisposed || this.#phase !== "starting") return;
    if (exit !== undefined) this.#earlyExit = exit;
    if (this.task.state === "pending") this.started(startedAt);
    else this.#wasRunning();
    this.#resumeStop();
  }

  #wasRunning(): void {
    this.#phase = "running";
    if (this.#earlyExit !== undefined) this.exited(this.#earlyExit);
    else this.#timeout.arm(this.task.startedAt);
  }

  #resumeStop(): void {
    if (this.#record.stopCause !== undefined && this.#phase === "running") {
      this.#context.track(this.#stop.untilDone());
    }
  }

  async #cancel(): Promise<Task> {
    if (this.#phase === "elsewhere") {
      const error = "given up while its engine was not here; its container, if any, is left there";
      this.#end({ state: "cancelled", error }, this.#now());
    }
    if (this.#record.stopCause !== undefined) return await this.whenEnded;
    this.#save({ stopCause: "cancel" });
    if (this.#phase === "waiting") this.#end({ state: "cancelled" }, this.#now());
    // From the engine's answer on it is known whether there is a container to be stopped.
    if (this.#phase === "creating") this.#over.abort(cancelled(this.task));
    if (this.#phase === "starting") await this.#underWay;
    if (this.#phase === "starting" || this.#phase === "running") await this.#stopForCancel();
    return await this.whenEnded;
  }

  async #stopForCancel(): Promise<void> {
    try {
      await this.#stop.once();
    } catch (error) {
      const { stopCause: _stopCause, ...record } = this.#record;
      this.#record = record;
      this.#context.changed(this);
      this.#timeout.arm(this.task.startedAt);
      throw error;
    }
  }

  #ranTooLong(): void {
    if (this.#record.stopCause !== undefined || this.#phase !== "running") return;
    this.#save({ stopCause: "timeout" });
    this.#context.track(this.#stop.untilDone());
  }

  #end(end: TaskEnd, at: Date): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#over.abort();
    this.#timeout[Symbol.dispose]();
    const cleanupPending = this.#context.workspaces.get(this.task.taskId) !== undefined;
    this.#record = { ...this.#record, cleanupPending };
    this.#change({ ...end, endedAt: at }, `task:${end.state}`, at);
    this.#started.resolve(this.task);
    this.#ended.open(this.task);
    this.#engineTurn?.leave();
    this.#turn?.leave();
    this.cleanUpMeanwhile();
  }

  #learn(containerId: string | undefined): void {
    if (containerId === undefined || containerId === this.task.containerId) return;
    this.#save({ task: { ...this.task, containerId } });
  }

  #change(changes: Partial<Task>, name: TaskEventName, timestamp: Date): void {
    this.#record = { ...this.#record, task: { ...this.task, ...changes } };
    this.#context.changed(this, { name, timestamp });
  }

  #save(changes: Partial<TaskRecord>): void {
    this.#record = { ...this.#record, ...changes };
    this.#context.changed(this);
  }

  #now(): Date {
    return new Date(this.#context.clock.now());
  }
}

function cancelled({ taskId }: Task): ApexError {
  return new ApexError("interrupted", `task "${taskId}" was cancelled before it started`);
}
