/**
 * From a task's place in the queue to its started container. The launch asks the engine, step by step: create the container,
 * connect its standard input, start it. It owns the task's permits: one of the tasks that run at once, and, while the engine
 * works for it, one of the engine's. What happens to the container is reported by the engine's events to `TaskRun`.
 */
import { mayStillAppear } from "../containers/operations/container_removal.ts";
import type { Semaphore, SemaphorePermit } from "../platform/async/semaphore.ts";
import { delayUnlessAborted } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";
import type { RunTaskOptions } from "./task.ts";
import { dateOf } from "./task_end.ts";
import { TaskInput } from "./task_input.ts";
import { type NamedTaskSpec, workspaceSpecOf } from "./task_spec.ts";

export interface TaskLaunchOptions extends Pick<RunTaskOptions, "onPullProgress" | "onInput"> {
  readonly spec: NamedTaskSpec;
  readonly workspaces: Pick<WorkspaceManager, "create" | "openInput" | "start" | "inspect">;
  readonly clock: Clock;
  /** For the tasks that run at once. */
  readonly taskSlots: Semaphore;
  /** For the requests that the engine works on at once. */
  readonly engineSlots: Semaphore;
  /** Resolves when the previous run of this id is cleaned up. */
  readonly predecessor?: Promise<void> | undefined;
  /** Ends the launch: aborted when the run has ended or is cancelled before its start, and at disposal. */
  readonly abort: AbortSignal;
  /** Called when the engine is about to be asked; `work` never rejects. */
  readonly onBegin: (work: Promise<void>) => void;
  readonly onStep: (step: "creating" | "starting") => void;
  readonly onCreated: (containerId: string | undefined) => void;
  /** The engine has replied that it started the container. */
  readonly onStarted: () => void;
  readonly onFailed: (error: unknown) => Promise<void>;
  /** Called with work in the background. */
  readonly track: (work: Promise<void>) => void;
}

/** An engine that restarts is back by then. */
const CONFIRM_WITHIN_MS = 60_000;
const CONFIRM_PAUSE_MS = 1_000;

/** The launch of a run. */
export class TaskLaunch {
  readonly #options: TaskLaunchOptions;
  #taskSlot: SemaphorePermit | undefined;
  #engineSlot: SemaphorePermit | undefined;

  constructor(options: TaskLaunchOptions) {
    this.#options = options;
  }

  /** How many tasks had to end before this one could start, when it was queued. */
  get ahead(): number {
    return this.#taskSlot?.ahead ?? 0;
  }

  /** Takes a slot at once, for a task whose container was started by an earlier process. */
  occupySlot(): void {
    this.#taskSlot = this.#options.taskSlots.acquireBeyondLimit();
  }

  /** Launches the task as soon as it has a slot. @param options.hasContainer an earlier process created the container */
  enqueue({ hasContainer }: { readonly hasContainer: boolean }): void {
    const { predecessor, taskSlots } = this.#options;
    this.#taskSlot = taskSlots.acquire(() => {
      // A reader of the output may delay the predecessor's cleanup for minutes. Until then no slot of the engine is taken.
      if (predecessor === undefined) this.#begin(hasContainer);
      else void predecessor.then(() => this.#begin(hasContainer));
    });
  }

  /** Gives the slots back, or leaves the queue. Idempotent. */
  release(): void {
    this.#engineSlot?.release();
    this.#taskSlot?.release();
  }

  #begin(hasContainer: boolean): void {
    const { abort, engineSlots, onBegin } = this.#options;
    if (abort.aborted) return;
    this.#engineSlot = engineSlots.acquire(() => onBegin(this.#launch(hasContainer)));
  }

  async #launch(hasContainer: boolean): Promise<void> {
    const { abort, onStep, onStarted, onFailed } = this.#options;
    onStep(hasContainer ? "starting" : "creating");
    try {
      if (!hasContainer) await this.#create();
      abort.throwIfAborted();
      onStep("starting");
      await this.#start();
      onStarted();
    } catch (error) {
      await onFailed(error);
    } finally {
      this.#engineSlot?.release();
    }
  }

  async #create(): Promise<void> {
    const { spec, workspaces, engineSlots, abort, onPullProgress, onCreated } = this.#options;
    let hasPulled = false;
    abort.throwIfAborted();
    const { containerId } = await workspaces.create(workspaceSpecOf(spec), {
      pull: spec.pull,
      abort,
      onPullProgress: (progress) => {
        // A pull may take minutes, during which the engine can work for other tasks.
        hasPulled = true;
        this.#engineSlot?.release();
        onPullProgress?.(progress);
      },
    });
    onCreated(containerId);
    if (hasPulled) this.#engineSlot = await engineSlots.acquired();
  }

  async #start(): Promise<void> {
    const { spec: { taskId, stdin }, workspaces } = this.#options;
    if (stdin) await this.#connectInput();
    try {
      await workspaces.start(taskId);
    } catch (error) {
      if (!await this.#confirmStarted(error)) throw error;
    }
  }

  /** No client has the input of a task of an earlier process: the input ends at once, so that the command does not wait. */
  async #connectInput(): Promise<void> {
    const { spec: { taskId }, workspaces, abort, track, onInput } = this.#options;
    const input = new TaskInput(await workspaces.openInput(taskId, abort));
    track(input.serve(abort));
    if (onInput === undefined) await input.end();
    else onInput(input);
  }

  /**
   * Whether the container was started although `error` was thrown. If the engine did not reply, it is asked as soon as it can
   * be reached: a task must not be reported as failed while it runs.
   */
  async #confirmStarted(error: unknown): Promise<boolean> {
    const { spec: { taskId }, workspaces, clock, abort } = this.#options;
    const untilMs = clock.now() + CONFIRM_WITHIN_MS;
    for (let failure = error; mayStillAppear(failure) && !abort.aborted && clock.now() < untilMs;) {
      try {
        const { State } = await workspaces.inspect(taskId, abort);
        return dateOf(State.StartedAt) !== undefined;
      } catch (inspectFailure) {
        failure = inspectFailure;
      }
      await delayUnlessAborted(CONFIRM_PAUSE_MS, { clock, abort });
    }
    return false;
  }
}
