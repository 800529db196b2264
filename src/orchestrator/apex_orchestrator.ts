import { CONTAINER_EVENT_NAMES } from "../containers/changes/container_events.ts";
import { ApexError } from "../platform/apex_error.ts";
import { Semaphore } from "../platform/async/semaphore.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import { definedFields } from "../platform/defined_fields.ts";
import { type Logger, silentLogger } from "../platform/logger.ts";
import { signalNumber } from "../platform/signals.ts";
import { TypedEmitter } from "../platform/typed_emitter.ts";
import type { TaskStore } from "../storage/task_store.ts";
import type {
  WorkspaceManager,
  WorkspaceManagerEventName,
  WorkspaceManagerEvents,
} from "../workspaces/workspace_manager.ts";
import type {
  OrchestratorEventName,
  OrchestratorListener,
  OrchestratorListenerName,
} from "./orchestrator_events.ts";
import { resumeTasks } from "./resume_tasks.ts";
import type { FollowTaskOptions, RunTaskOptions, Task, TaskHandle, TaskSpec } from "./task.ts";
import { exitOfCode, exitOfDeath } from "./task_end.ts";
import { recordOf } from "./task_record.ts";
import { handleOf, noSuchTask, TaskRegistry } from "./task_registry.ts";
import { TaskRun, type TaskRunContext } from "./task_run.ts";
import { namedTaskSpec } from "./task_spec.ts";

/** What an {@linkcode ApexOrchestrator} is built from. The caller disposes all of it. */
export interface ApexOrchestratorOptions {
  readonly workspaces: WorkspaceManager;
  /** Where tasks are stored: `openStorage(…).tasks`. */
  readonly store: TaskStore;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Further tasks are queued. Default: no limit. */
  readonly maxConcurrentTasks?: number;
  /** From SIGTERM to SIGKILL, for tasks that are cancelled or run longer than their timeout. Default: 10. */
  readonly stopTimeoutSeconds?: number;
}

const DEFAULT_STOP_TIMEOUT_SECONDS = 10;

/** With more concurrent requests, the engine slows down until its replies come too late. */
const MAX_ENGINE_REQUESTS = 16;

/** How long disposal waits for the engine's replies. The next process finds out the rest. */
const DISPOSE_WITHIN_MS = 5_000;

/**
 * The top layer of the bridge. It runs tasks, and is the API for programs that embed apex:
 *
 * ```ts
 * orchestrator.on("container:died", (event) => console.log(event.containerName, event.exitCode));
 * orchestrator.on("container:*", (event, name) => console.log(name, event.taskId));
 * const { ended } = orchestrator.runTask({ image: "busybox", cmd: ["echo", "hello"] });
 * console.log((await ended).state);
 * ```
 *
 * A task's event follows directly after the container event that causes it. Listeners of an event's own name are called
 * before those of `container:*` and `task:*`. A listener that throws is logged, and does not affect the others.
 *
 * (The file is long because it documents a public API. Runs are in `task_run.ts`, their maps and rows in `task_registry.ts`.)
 */
export class ApexOrchestrator implements AsyncDisposable {
  /** The public methods check the types. */
  readonly #events: TypedEmitter<Record<string, unknown>>;
  readonly #tasks: TaskRegistry;
  readonly #context: TaskRunContext;
  readonly #store: TaskStore;
  /** The runs of an earlier process, until they are resumed. */
  readonly #stored: TaskRun[];
  /** Work in the background, for which disposal waits. */
  readonly #background = new Set<Promise<void>>();
  readonly #disposal = new AbortController();
  /** The listeners on the layer below. */
  readonly #listeners = new DisposableStack();
  #disposed: Promise<void> | undefined;

  constructor(options: ApexOrchestratorOptions) {
    const { workspaces, store, logger = silentLogger, clock = systemClock } = options;
    const { maxConcurrentTasks = Infinity, stopTimeoutSeconds = DEFAULT_STOP_TIMEOUT_SECONDS } = options;
    this.#store = store;
    this.#events = TypedEmitter.logging(logger);
    this.#tasks = new TaskRegistry({ store, emit: (name, event) => this.#events.emit(name, event) });
    this.#context = {
      workspaces,
      clock,
      logger,
      stopTimeoutSeconds,
      taskSlots: new Semaphore(maxConcurrentTasks),
      engineSlots: new Semaphore(MAX_ENGINE_REQUESTS),
      disposal: this.#disposal.signal,
      onChange: (run, event) => this.#tasks.changed(run, event),
      track: (work) => this.#track(work),
    };
    this.#stored = store.unfinished().map((row) =>
      new TaskRun({ record: recordOf(row), context: this.#context })
    );
    for (const run of this.#stored) this.#tasks.load(run);
    for (const name of [...CONTAINER_EVENT_NAMES, "workspace-created", "workspace-cleaned"] as const) {
      this.#forward(workspaces, name);
    }
  }

  /**
   * Accepts a task, and emits its `task:created` before this returns. The task starts as soon as it has a slot. When it has
   * ended, its container is removed, unless the task says otherwise. If a task with that id was accepted before with the same
   * `requestId`, no task begins, and the handle is that task's.
   *
   * @throws {ApexError} `usage` for an invalid value; `conflict` if a task with that id has not ended; `busy` if too many
   *   tasks have not ended
   */
  runTask(spec: TaskSpec, options: RunTaskOptions = {}): TaskHandle {
    if (this.#disposal.signal.aborted) throw new Error("Cannot run a task on a disposed orchestrator");
    const { onPullProgress, onInput, requestId, holdCleanup } = options;
    const { clock, workspaces: { engineId } } = this.#context;
    const named = namedTaskSpec(spec, (id) => this.#tasks.has(id));
    const { taskId, image, cmd = [], projectDir } = named;
    const begun = requestId === undefined ? undefined : this.#tasks.follow(taskId, options);
    if (begun !== undefined) return begun;
    this.#tasks.checkIsFree(taskId);
    const task = definedFields({
      taskId,
      run: this.#tasks.nextRun(taskId),
      state: "pending" as const,
      image,
      cmd,
      workspacePath: projectDir,
      createdAt: new Date(clock.now()),
    });
    // Without the request's id, a client cannot ask for this task again.
    const outputAwaited = holdCleanup !== undefined && requestId !== undefined;
    const run = new TaskRun({
      ...definedFields({ onPullProgress, onInput }),
      record: definedFields({ task, spec: named, cleanupPending: false, outputAwaited, requestId, engineId }),
      context: this.#context,
      predecessor: this.#tasks.leavingRun(taskId),
    });
    if (holdCleanup !== undefined) run.cleanup.addReader(holdCleanup, { returns: requestId !== undefined });
    this.#tasks.add(run);
    run.accept();
    run.enqueue();
    return handleOf(run);
  }

  /**
   * Follows a task that was accepted before, perhaps by an earlier process.
   * @throws {ApexError} `not_found`
   */
  followTask(taskId: string, options: FollowTaskOptions = {}): TaskHandle {
    return this.#tasks.follow(taskId, options) ?? noSuchTask(taskId, "wait for");
  }

  /**
   * Ends a task in any state. Resolves with its end. If its command exits at the same moment, the task still has only one
   * end.
   *
   * @throws {ApexError} `not_found`; `conflict` if the task has ended; and what the engine says if it refuses to stop it
   */
  async cancelTask(taskId: string): Promise<Task> {
    return checkEnded(await this.#tasks.expectActive(taskId, "cancel").cancel());
  }

  /**
   * Sends a Unix signal, for example `SIGINT`, to the task's command.
   * @throws {ApexError} `usage` for an unknown signal; `not_found`; `conflict` if the command does not run
   */
  async signalTask(taskId: string, signal: string): Promise<void> {
    if (signalNumber(signal) === undefined) {
      throw new ApexError("usage", `no such signal: "${signal}" (use a form like SIGINT, INT or 2)`);
    }
    await this.#tasks.expectActive(taskId, `send ${signal} to`).signal(signal);
  }

  /** A snapshot of the last task with that id. */
  getTask(taskId: string): Task | undefined {
    return this.#tasks.get(taskId);
  }

  /** The runs of that id that are still known, at most ten, the last one first. */
  taskRuns(taskId: string): Task[] {
    return this.#tasks.runs(taskId);
  }

  /** Whether the task of that container has ended and keeps it, as opposed to a container that could not be removed. */
  keepsContainer(containerId: string): boolean {
    return this.#store.kept.has(containerId);
  }

  /** The newest first. @param options.all ended ones too */
  listTasks(options: { readonly all?: boolean } = {}): Task[] {
    return this.#tasks.list(options);
  }

  /**
   * Resolves when the task has ended.
   *
   * @throws {ApexError} `not_found`; `interrupted` if the orchestrator is disposed first
   * @throws the reason of `abort`
   */
  async waitTask(taskId: string, abort?: AbortSignal): Promise<Task> {
    abort?.throwIfAborted();
    const ended = this.#tasks.activeRun(taskId)?.ended;
    if (ended !== undefined) {
      return checkEnded(await (abort === undefined ? ended.promise : ended.until(abort)));
    }
    return this.getTask(taskId) ?? noSuchTask(taskId, "wait for");
  }

  /**
   * Resumes the tasks of an earlier process that had not ended: those that run continue, those whose container has exited end,
   * and those without a container are queued again. Call it once, when the engine's containers are known
   * (`engine:connected`). Resolves when each task is resumed.
   */
  async adopt(): Promise<void> {
    const { workspaces, logger } = this.#context;
    const { engineId } = workspaces;
    const { here = [], elsewhere = [] } = Object.groupBy(
      this.#stored.splice(0),
      ({ record }) => (record.engineId ?? engineId) === engineId ? "here" : "elsewhere",
    );
    for (const run of elsewhere) run.leaveElsewhere();
    if (elsewhere.length > 0) {
      logger.warn(`${elsewhere.length} tasks are on another engine, and are not resumed`);
    }
    for (const run of here) run.cleanup.expectReader();
    const resumed = resumeTasks(here, { ...this.#context, abort: this.#disposal.signal });
    // Disposal only waits for it. The caller gets its failure.
    this.#track(resumed.catch(() => {}));
    await resumed;
  }

  /** Adds a listener. The returned function removes it. */
  on<Name extends OrchestratorListenerName>(name: Name, listener: OrchestratorListener<Name>): () => void {
    return this.#events.on(name, listener as Listener);
  }

  once<Name extends OrchestratorListenerName>(name: Name, listener: OrchestratorListener<Name>): void {
    this.#events.once(name, listener as Listener);
  }

  off<Name extends OrchestratorListenerName>(name: Name, listener: OrchestratorListener<Name>): void {
    this.#events.off(name, listener as Listener);
  }

  /** Of one event, or of all, `container:*` and `task:*` included. */
  listenerCount(name?: OrchestratorEventName): number {
    return this.#events.listenerCount(name);
  }

  /**
   * Removes all listeners: those on the layer below, and those that were added here. Running tasks continue without it; the
   * next orchestrator with the same store resumes them. Idempotent.
   */
  dispose(): Promise<void> {
    return this.#disposed ??= this.#dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #dispose(): Promise<void> {
    this.#listeners.dispose();
    this.#events.removeAllListeners();
    this.#disposal.abort();
    for (const run of this.#tasks.active()) run[Symbol.dispose]();
    const { clock } = this.#context;
    await settlesWithin(Promise.all(this.#background), { timeoutMs: DISPOSE_WITHIN_MS, clock });
    this.#tasks.close();
  }

  /** Emits an event of the layer below, and then passes it to its task, so that the task's event follows it. */
  #forward(workspaces: WorkspaceManager, name: WorkspaceManagerEventName): void {
    this.#listeners.defer(workspaces.on(name, (event) => {
      this.#events.emit(name, event);
      this.#passToTask({ name, event } as NamedEvent);
    }));
  }

  #passToTask({ name, event }: NamedEvent): void {
    if (name === "workspace-created") {
      this.#tasks.activeRun(event.taskId)?.onCreated(event.containerId);
      return;
    }
    if (!("success" in event) || !event.success) return;
    const { containerId, timestamp } = event;
    if (name === "container:removed") this.#store.kept.remove(containerId);
    const run = this.#tasks.withContainer(containerId);
    if (run === undefined) return;
    if (name === "container:started") run.onStarted(timestamp);
    else if (name === "container:died") run.onExited(exitOfDeath(event));
    else if (name === "container:stopped") run.onExited(exitOfCode(event.exitCode, timestamp));
    else if (name === "container:removed") run.onRemoved(exitOfCode(event.exitCode, timestamp));
  }

  #track(work: Promise<void>): void {
    this.#background.add(work);
    void work.finally(() => this.#background.delete(work));
  }
}

/** An event of the layer below with its name, by which the type checker knows which event it is. */
type NamedEvent = {
  [Name in WorkspaceManagerEventName]: { readonly name: Name; readonly event: WorkspaceManagerEvents[Name] };
}[WorkspaceManagerEventName];

function checkEnded(task: Task): Task {
  if (task.endedAt !== undefined) return task;
  throw new ApexError("interrupted", `task "${task.taskId}" continues: apex ended before it did`);
}

// deno-lint-ignore no-explicit-any -- the public methods check the types
type Listener = (event: any) => void;
