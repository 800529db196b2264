/** All layers up to the orchestrator, on a real engine. Collects the published events in short form. */
import { ContainerManager } from "../../../src/containers/container_manager.ts";
import { ContainerHealthMonitor } from "../../../src/containers/health/container_health_monitor.ts";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import {
  ApexOrchestrator,
  type ApexOrchestratorOptions,
} from "../../../src/orchestrator/apex_orchestrator.ts";
import type {
  RunTaskOptions,
  Task,
  TaskEvent,
  TaskHandle,
  TaskSpec,
} from "../../../src/orchestrator/task.ts";
import { type Clock, systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { openStorage, type Storage } from "../../../src/storage/storage.ts";
import { WorkspaceManager } from "../../../src/workspaces/workspace_manager.ts";
import { within } from "../within.ts";

/** An engine on a busy machine needs some seconds. */
const EVENT_TIMEOUT_MS = 30_000;

export interface TaskLayersOptions
  extends Pick<ApexOrchestratorOptions, "maxConcurrentTasks" | "stopTimeoutSeconds"> {
  readonly socketPath: string;
  /** Path of the database. Default: in memory. */
  readonly path?: string;
  /** The id of the apex instance. Default: the same for all layers. */
  readonly instance?: string;
  /** The orchestrator's clock. */
  readonly clock?: Clock;
}

export class TaskLayers implements AsyncDisposable {
  readonly client: EngineClient;
  readonly manager: ContainerManager;
  readonly health: ContainerHealthMonitor;
  readonly workspaces: WorkspaceManager;
  readonly storage: Storage;
  readonly orchestrator: ApexOrchestrator;
  /** Everything published, as `task:started t1`. */
  readonly seen: string[] = [];
  readonly taskEvents: TaskEvent[] = [];
  /** Logged warnings and errors. */
  readonly complaints: string[] = [];
  readonly #byTask = new Map<string, string[]>();
  readonly #waiting = new Set<() => void>();

  private constructor(
    {
      socketPath,
      path = ":memory:",
      instance = "0123456789abcdef",
      clock = systemClock,
      ...rest
    }: TaskLayersOptions,
  ) {
    const complain = (message: string): void => void this.complaints.push(message);
    const options = { logger: { ...silentLogger, warn: complain, error: complain }, clock: systemClock };
    this.client = new EngineClient({ socketPath });
    this.manager = new ContainerManager({ ...options, client: this.client, instance });
    this.health = new ContainerHealthMonitor({ ...options, manager: this.manager });
    this.workspaces = new WorkspaceManager({ ...options, manager: this.manager, health: this.health });
    this.storage = openStorage({ ...options, path });
    this.orchestrator = new ApexOrchestrator({
      ...rest,
      logger: options.logger,
      clock,
      workspaces: this.workspaces,
      store: this.storage.tasks,
    });
    this.orchestrator.on("container:*", (event, name) => {
      this.#note(event.success ? name : `${event.operation} failed`, event.taskId);
    });
    this.orchestrator.on("task:*", (event, name) => {
      this.taskEvents.push(event);
      this.#note(event.reason === undefined ? name : `${name} ${event.reason}`, event.taskId);
    });
    for (const name of ["workspace-created", "workspace-cleaned"] as const) {
      this.orchestrator.on(name, (event) => this.#note(name, event.taskId));
    }
  }

  /** Follows the engine, and resumes the stored tasks. Resolves when both are done. */
  static async start(options: TaskLayersOptions): Promise<TaskLayers> {
    const layers = await TaskLayers.startWithoutAdopting(options);
    await within(EVENT_TIMEOUT_MS, "adopt()", layers.orchestrator.adopt());
    return layers;
  }

  static async startWithoutAdopting(options: TaskLayersOptions): Promise<TaskLayers> {
    const layers = new TaskLayers(options);
    const connected = Promise.withResolvers<void>();
    layers.manager.once("engine:connected", () => connected.resolve());
    layers.manager.follow();
    await within(EVENT_TIMEOUT_MS, "the engine", connected.promise);
    return layers;
  }

  /** Runs a shell script. */
  run(script: string, spec: Partial<TaskSpec> = {}, options: RunTaskOptions = {}): TaskHandle {
    return this.orchestrator.runTask(
      { image: "busybox:local", network: "none", cmd: ["sh", "-c", script], ...spec },
      options,
    );
  }

  /** Runs a shell script, and waits for its end. */
  async runToEnd(script: string, spec: Partial<TaskSpec> = {}): Promise<Task> {
    return await this.endOf(this.run(script, spec));
  }

  async startOf(handle: TaskHandle): Promise<Task> {
    return await within(EVENT_TIMEOUT_MS, `the start of ${handle.taskId}`, handle.started);
  }

  async endOf(handle: TaskHandle): Promise<Task> {
    return await within(EVENT_TIMEOUT_MS, `the end of ${handle.taskId}`, handle.ended);
  }

  /** Also for a task of an earlier run. */
  async endOfId(taskId: string): Promise<Task> {
    return await within(EVENT_TIMEOUT_MS, `the end of ${taskId}`, this.orchestrator.waitTask(taskId));
  }

  /** The events of a task, in order. */
  of(taskId: string): string[] {
    return this.#byTask.get(taskId) ?? [];
  }

  /** Waits until that event of the task is published. Returns its events up to then. */
  async until(taskId: string, what: string): Promise<string[]> {
    await this.untilTrue(() => this.of(taskId).includes(what), () => `${what} of ${taskId}`);
    return this.of(taskId);
  }

  async untilTrue(isSo: () => boolean, what: () => string): Promise<void> {
    const came = Promise.withResolvers<void>();
    const look = (): void => {
      if (isSo()) came.resolve();
    };
    this.#waiting.add(look);
    look();
    try {
      await within(EVENT_TIMEOUT_MS, what(), came.promise);
    } catch (cause) {
      throw new Error(`${what()} did not come; so far: ${this.seen.slice(-30).join(", ")}`, { cause });
    } finally {
      this.#waiting.delete(look);
    }
  }

  /** Operates a task's container as another client of the engine. */
  async byHand(method: string, taskId: string, rest: string): Promise<void> {
    const id = this.orchestrator.getTask(taskId)?.containerId;
    const reply = await this.client.request(method, `/containers/${id}${rest}`, {
      timeoutMs: EVENT_TIMEOUT_MS,
    });
    await reply.text();
  }

  /** The names of all containers of the engine. */
  async containerNames(): Promise<string[]> {
    return (await this.client.listContainers()).flatMap(({ Names }) => Names ?? []).map((name) =>
      name.slice(1)
    );
  }

  /** Disposes the layers. Running containers continue. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    await within(EVENT_TIMEOUT_MS, "the end of the orchestrator", this.orchestrator.dispose());
    await this.workspaces[Symbol.asyncDispose]();
    await this.health[Symbol.asyncDispose]();
    await within(EVENT_TIMEOUT_MS, "the end of the container manager", this.manager[Symbol.asyncDispose]());
    this.storage[Symbol.dispose]();
    this.client[Symbol.dispose]();
  }

  #note(what: string, taskId: string | undefined): void {
    this.seen.push(`${what} ${taskId ?? ""}`.trimEnd());
    if (taskId !== undefined) this.#byTask.set(taskId, [...this.of(taskId), what]);
    for (const look of this.#waiting) look();
  }
}

/** The events of a task whose command ends by itself. */
export function storyOf(end: string): string[] {
  return [
    "task:created",
    "container:created",
    "workspace-created",
    "container:started",
    "task:started",
    "container:died",
    end,
    "container:removed",
    "workspace-cleaned",
  ];
}
