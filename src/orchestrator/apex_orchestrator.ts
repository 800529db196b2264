import { CONTAINER_EVENT_NAMES } from "../containers/changes/container_events.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import { type Logger, silentLogger } from "../platform/logger.ts";
import type { TaskStore } from "../storage/task_store.ts";
import type {
  WorkspaceManager,
  WorkspaceManagerEventName,
  WorkspaceManagerEvents,
} from "../workspaces/workspace_manager.ts";
import {
  type AnyContainerListener,
  type AnyTaskListener,
  OrchestratorEmitter,
  type OrchestratorEventName,
  type OrchestratorEvents,
  type OrchestratorListener,
} from "./orchestrator_events.ts";
import type { Task, TaskSpec } from "./task.ts";
import type { FollowTaskOptions, RunTaskOptions, TaskHandle } from "./task_handle.ts";
import { TaskRunner } from "./task_runner.ts";

export type {
  AnyContainerEvent,
  AnyContainerListener,
  AnyTaskListener,
  OrchestratorEventName,
  OrchestratorEvents,
} from "./orchestrator_events.ts";
export type { FollowTaskOptions, RunTaskOptions, TaskHandle } from "./task_handle.ts";

/** What an {@linkcode ApexOrchestrator} is built from; all of it stays its owner's to dispose. */
export interface ApexOrchestratorOptions {
  readonly workspaces: WorkspaceManager;
  /** Where tasks are kept: `openStorage(…).tasks`. */
  readonly store: TaskStore;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Further ones wait for their turn. Default: no limit. */
  readonly maxConcurrentTasks?: number;
  /** Grace between SIGTERM and SIGKILL of a task that is cancelled or runs for too long. Default: 10. */
  readonly stopTimeoutSeconds?: number;
}

const DEFAULT_STOP_TIMEOUT_SECONDS = 10;

/**
 * The top layer of the bridge, which runs tasks, and what programs that embed apex talk to:
 *
 * ```ts
 * orchestrator.on("container:died", (event) => console.log(event.containerName, event.exitCode));
 * orchestrator.on("container:*", (event, name) => console.log(name, event.taskId));
 * const { ended } = orchestrator.runTask({ image: "busybox", cmd: ["echo", "hello"] });
 * console.log((await ended).state);
 * ```
 *
 * A task's events follow from its container's, each right behind the one it follows from. Listeners of an event's own
 * name are called before those of `container:*` and `task:*`. One that throws is logged and harms nobody else.
 */
export class ApexOrchestrator implements AsyncDisposable {
  readonly #events: OrchestratorEmitter;
  readonly #runner: TaskRunner;
  /** Takes the listeners off the layer below. */
  readonly #undo: (() => void)[] = [];

  constructor(options: ApexOrchestratorOptions) {
    const { workspaces, store, logger = silentLogger, clock = systemClock } = options;
    const { maxConcurrentTasks = Infinity, stopTimeoutSeconds = DEFAULT_STOP_TIMEOUT_SECONDS } = options;
    this.#events = new OrchestratorEmitter(logger);
    this.#runner = new TaskRunner({
      workspaces,
      store,
      logger,
      clock,
      maxConcurrentTasks,
      stopTimeoutSeconds,
      emit: (name, event) => this.#events.emit(name, event),
    });
    for (const name of [...CONTAINER_EVENT_NAMES, "workspace-created", "workspace-cleaned"] as const) {
      this.#forward(workspaces, name);
    }
  }

  /**
   * Accepts a task; its `task:created` is told before this returns. It runs as soon as its turn comes, and its container
   * is removed when it has ended, unless the task says otherwise. With the `requestId` of a task of that id that was
   * accepted before, it begins none and gives that one.
   *
   * @throws {ApexError} `usage` for a value that makes no sense, `conflict` when a task of that id has not ended, `busy`
   *   when far too many wait
   */
  runTask(spec: TaskSpec, options: RunTaskOptions = {}): TaskHandle {
    return this.#runner.run(spec, options);
  }

  /**
   * A task that was accepted before, in an earlier life perhaps; for one that has ended, its end.
   *
   * @throws {ApexError} `not_found`
   */
  followTask(taskId: string, options: FollowTaskOptions = {}): TaskHandle {
    return this.#runner.follow(taskId, options);
  }

  /**
   * Ends a task, wherever it stands, and resolves with its end. If its command ended by itself at the same moment, there
   * still is only this one end.
   *
   * @throws {ApexError} `not_found`; `conflict` when it had ended; whatever the engine says when it refuses to stop it
   */
  cancelTask(taskId: string): Promise<Task> {
    return this.#runner.cancel(taskId);
  }

  /**
   * Sends a signal, `SIGINT` for example, to the task's command.
   *
   * @throws {ApexError} `usage` for what is no signal, `not_found`, `conflict` when it does not run
   */
  signalTask(taskId: string, signal: string): Promise<void> {
    return this.#runner.signal(taskId, signal);
  }

  /** As it stands now, or ended. */
  getTask(taskId: string): Task | undefined {
    return this.#runner.get(taskId);
  }

  /** The runs of that task id that are still known (10 at most), the last one first. */
  taskRuns(taskId: string): Task[] {
    return this.#runner.runs(taskId);
  }

  /** Whether its task has ended and left that container on purpose, not because it could not be removed. */
  keepsContainer(containerId: string): boolean {
    return this.#runner.keeps(containerId);
  }

  /** The newest first. @param options.all ended ones too */
  listTasks(options: { readonly all?: boolean } = {}): Task[] {
    return this.#runner.list(options);
  }

  /**
   * Resolves when the task has ended; for one that has, at once.
   *
   * @throws {ApexError} `not_found`; `interrupted` when the orchestrator is disposed first
   * @throws the signal's reason
   */
  waitTask(taskId: string, signal?: AbortSignal): Promise<Task> {
    return this.#runner.wait(taskId, signal);
  }

  /**
   * Takes up the stored tasks of an earlier life that had not ended: running ones go on, those whose container ended
   * meanwhile end, those without a container wait for their turn again. To be called once, when the engine's containers
   * are known (`engine:connected`); resolves when each of them is where it belongs.
   */
  adopt(): Promise<void> {
    return this.#runner.adopt();
  }

  on<Name extends OrchestratorEventName>(name: Name, listener: OrchestratorListener<Name>): this;
  on(name: "container:*", listener: AnyContainerListener): this;
  on(name: "task:*", listener: AnyTaskListener): this;
  on(name: OrchestratorEventName | "container:*" | "task:*", listener: AnyListener): this {
    if (name === "container:*") this.#events.anyContainer.onAny(listener);
    else if (name === "task:*") this.#events.anyTask.onAny(listener);
    else this.#events.on(name, listener);
    return this;
  }

  once<Name extends OrchestratorEventName>(name: Name, listener: OrchestratorListener<Name>): this;
  once(name: "container:*", listener: AnyContainerListener): this;
  once(name: "task:*", listener: AnyTaskListener): this;
  once(name: OrchestratorEventName | "container:*" | "task:*", listener: AnyListener): this {
    if (name === "container:*") this.#events.anyContainer.onceAny(listener);
    else if (name === "task:*") this.#events.anyTask.onceAny(listener);
    else this.#events.once(name, listener);
    return this;
  }

  off<Name extends OrchestratorEventName>(name: Name, listener: OrchestratorListener<Name>): this;
  off(name: "container:*", listener: AnyContainerListener): this;
  off(name: "task:*", listener: AnyTaskListener): this;
  off(name: OrchestratorEventName | "container:*" | "task:*", listener: AnyListener): this {
    if (name === "container:*") this.#events.anyContainer.offAny(listener);
    else if (name === "task:*") this.#events.anyTask.offAny(listener);
    else this.#events.off(name, listener);
    return this;
  }

  /** Of one event, or of all together, those of `container:*` and `task:*` included. */
  listenerCount(name?: OrchestratorEventName): number {
    return this.#events.listenerCount(name);
  }

  /**
   * Removes every listener: those held on the layer below and those that were added here. Running tasks go on without
   * it, and are taken up by the next one that has the same store. May be called again.
   */
  async dispose(): Promise<void> {
    for (const undo of this.#undo.splice(0)) undo();
    this.#events.removeAllListeners();
    await this.#runner[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** Told here first and taken by its task after, so that a task's event comes right behind its container's. */
  #forward<Name extends WorkspaceManagerEventName>(workspaces: WorkspaceManager, name: Name): void {
    const listener = (event: WorkspaceManagerEvents[Name]): void => {
      // The same event: what the layer below emits is part of what this one does.
      this.#events.emit(name, event as OrchestratorEvents[Name]);
      this.#runner.take(name, event);
    };
    workspaces.on(name, listener);
    this.#undo.push(() => workspaces.off(name, listener));
  }
}

/** The overloads say which listener goes with which name. */
// deno-lint-ignore no-explicit-any -- the implementation of overloads
type AnyListener = (event: any, name?: any) => void;
