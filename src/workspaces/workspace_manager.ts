import type {
  ContainerEventName,
  ContainerEvents,
  ContainerEventSource,
} from "../containers/changes/container_events.ts";
import type { ContainerRecord } from "../containers/container_record.ts";
import { createUnderFreeName } from "../containers/operations/container_name.ts";
import { mayStillAppear } from "../containers/operations/container_removal.ts";
import type { CreateOptions } from "../containers/operations/container_spec.ts";
import { hasNoProcess } from "../containers/operations/operation_failure.ts";
import type { AttachConnection } from "../engine/attach_connection.ts";
import type { ContainerInspect } from "../engine/engine_types.ts";
import { ApexError } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import { definedFields } from "../platform/defined_fields.ts";
import type { Logger } from "../platform/logger.ts";
import { type ListenerOf, TypedEmitter } from "../platform/typed_emitter.ts";
import {
  isKept,
  type OrphanedWorkspace,
  type Workspace,
  type WorkspaceContainers,
  type WorkspaceEvents,
  type WorkspaceOutcome,
  type WorkspaceSpec,
} from "./workspace.ts";
import { WorkspaceCleanup, type WorkspaceCleanupOptions } from "./workspace_cleanup.ts";
import { plainContainerName, workspaceContainer } from "./workspace_container.ts";
import { type OrphanRemovals, removeOrphans, unclaimed } from "./workspace_orphans.ts";
import { toWorkspace, type WorkspaceEntry, workspaceEvent, WorkspaceRegistry } from "./workspace_registry.ts";

/** What {@linkcode WorkspaceManager} emits, by name: the container events, unchanged, and its own events. */
export interface WorkspaceManagerEvents extends ContainerEvents, WorkspaceEvents {}

export type WorkspaceManagerEventName = keyof WorkspaceManagerEvents;

export interface WorkspaceManagerOptions {
  /** {@linkcode ContainerManager}, as far as it is used. */
  readonly manager: WorkspaceContainers;
  /** {@linkcode ContainerHealthMonitor}, as far as it is used. */
  readonly health: ContainerEventSource<"container:health">;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Awaited before a container is removed; must not reject. Disposal aborts its AbortSignal. */
  readonly beforeRemoval?: WorkspaceCleanupOptions["beforeRemoval"];
}

/**
 * The middle layer of the bridge. It forwards the events of the container layer (the manager's and the health monitor's)
 * to the orchestrator, in their order and unchanged, except for `container:lifecycle`. It also keeps the workspaces of
 * tasks: it creates their containers, knows which container belongs to which task, and removes them.
 *
 * It emits `workspace-created` and `workspace-cleaned` directly after the `container:created` and `container:removed` that
 * cause them, in the same synchronous block: they follow from the engine's events, not from its replies. A container that
 * the policy keeps, or that could not be removed, becomes an orphan, which `removeOrphans` removes. If the engine did not
 * answer, the container is removed when the engine is back.
 *
 * (The file is long because it is the whole API between two layers.)
 */
export class WorkspaceManager implements Disposable, AsyncDisposable {
  readonly #containers: WorkspaceContainers;
  readonly #emitter: TypedEmitter<WorkspaceManagerEvents>;
  readonly #listeners = new DisposableStack();
  readonly #registry = new WorkspaceRegistry();
  readonly #cleanup: WorkspaceCleanup;

  constructor(options: WorkspaceManagerOptions) {
    const { manager, health, logger, clock = systemClock, beforeRemoval } = options;
    this.#containers = manager;
    this.#emitter = TypedEmitter.logging(logger);
    this.#cleanup = new WorkspaceCleanup({
      registry: this.#registry,
      containers: manager,
      onCleaned: (entry, at) => this.#emitter.emit("workspace-cleaned", workspaceEvent(entry, at)),
      ...(beforeRemoval && { beforeRemoval }),
      clock,
      logger,
    });
    this.#forward(manager, "container:created", (event) => this.#onCreated(event));
    this.#forward(manager, "container:started");
    this.#forward(health, "container:health");
    this.#forward(manager, "container:stopped");
    this.#forward(manager, "container:died");
    this.#forward(manager, "container:removed", (event) => this.#onRemoved(event));
    this.#forward(manager, "container:operation_failed");
  }

  /** The id of this apex instance, with which it labels the containers that it creates. */
  get instance(): string {
    return this.#containers.instance;
  }

  /** Identifies the engine, across its restarts. Undefined until the engine was reached. */
  get engineId(): string | undefined {
    return this.#containers.engineId;
  }

  /** Whether everything that has happened so far was published. */
  get isCaughtUp(): boolean {
    return this.#containers.isCaughtUp;
  }

  /** Resolves when everything that has happened so far was published, or when `abort` aborts. */
  async untilCaughtUp(abort: AbortSignal): Promise<void> {
    if (this.isCaughtUp || abort.aborted) return;
    const caughtUp = Promise.withResolvers<void>();
    const removeListener = this.#containers.on("engine:caught-up", caughtUp.resolve);
    await settlesWithin(caughtUp.promise, { abort });
    removeListener();
  }

  /**
   * Creates a task's container as `apex-task-<taskId>`, or with a suffix if that name is taken. Does not start it. The
   * AbortSignal in `options` also aborts the pull of a missing image.
   *
   * @throws {ApexError} `conflict` if the task has a workspace; `usage` if the project directory cannot be mounted; and what
   *   the engine says
   */
  async create(spec: WorkspaceSpec, options: CreateOptions = {}): Promise<Workspace> {
    const { taskId, policy, container: { projectDir } } = spec;
    const entry = this.#registry.open(definedFields({ taskId, policy, workspacePath: projectDir }));
    // The entry has the container's name before the engine is asked: its event may come before its reply.
    const create = async (name: string): Promise<string> => {
      this.#registry.rename(entry, name);
      return (await this.#containers.create({ ...await workspaceContainer(spec), name }, options)).id;
    };
    try {
      const isTaken = (name: string): boolean => this.#isNameTaken(name);
      const id = await createUnderFreeName(plainContainerName(taskId), { isTaken, create });
      this.#registry.identify(entry, id);
      return toWorkspace(entry);
    } catch (error) {
      const isUnclear = options.abort?.aborted === true || mayStillAppear(error);
      if (entry.containerId !== undefined || isUnclear) this.#cleanup.abandon(entry);
      else this.#registry.remove(entry);
      throw error;
    }
  }

  /** @throws {ApexError} like the next methods: `not_found` if the task has no container, and what the engine says */
  async start(taskId: string): Promise<void> {
    await this.#containers.start(this.#containerId(taskId));
  }

  /** Connects to the container's standard input. Call it before `start`. Disposing the connection closes it. */
  async openInput(taskId: string, abort?: AbortSignal): Promise<AttachConnection> {
    return await this.#containers.openInput(this.#containerId(taskId), abort);
  }

  /** @param options.timeoutSeconds from the stop signal to SIGKILL */
  async stop(taskId: string, options: { timeoutSeconds?: number } = {}): Promise<void> {
    await this.#containers.stop(this.#containerId(taskId), options);
  }

  /**
   * Sends a Unix signal to the task's process. A process that has just exited is not a failure: its event is on the way.
   * @param signal for example `SIGINT`
   */
  async signal(taskId: string, signal: string): Promise<void> {
    const isPublished = (error: unknown): boolean => !hasNoProcess(error);
    try {
      await this.#containers.kill(this.#containerId(taskId), { signal, isPublished });
    } catch (error) {
      if (isPublished(error)) throw error;
    }
  }

  /** The engine's current description of the task's container. */
  async inspect(taskId: string, abort?: AbortSignal): Promise<ContainerInspect> {
    return await this.#containers.inspect(this.#containerId(taskId), abort);
  }

  /**
   * Call it when the task has ended: removes its container, or keeps it if the policy says so. The task may have a new
   * workspace at once. Resolves when the container was dealt with; with false if it could not be removed.
   */
  async finish(taskId: string, outcome: WorkspaceOutcome): Promise<boolean> {
    const entry = this.#registry.get(taskId);
    if (entry === undefined) return true;
    this.#registry.leave(entry);
    if (isKept(entry.policy, outcome) || entry.isCleaned) this.#registry.remove(entry);
    else if (entry.containerId === undefined) this.#cleanup.abandon(entry);
    else return await this.#cleanup.remove(entry, entry.containerId);
    return true;
  }

  /**
   * Adds a workspace that an earlier process created for a task that was not finished.
   * @throws {ApexError} `conflict` if the task has another workspace
   */
  adopt(workspace: Workspace): void {
    const { taskId, containerName } = workspace;
    const known = this.#registry.get(taskId)?.containerId;
    if (known !== undefined && known === workspace.containerId) return;
    const containerId = workspace.containerId ??
      this.#containers.list().find(({ id, name, taskId: labelled }) =>
        name === containerName && labelled === taskId && this.#containers.owns(id)
      )?.id;
    const entry = this.#registry.open(definedFields({ ...workspace, containerId }));
    entry.isCreationPublished = containerId !== undefined;
  }

  /**
   * Expects the container of a task of an earlier process, which may or may not have been created. When the engine reports
   * it, it is added. The returned function stops expecting it.
   * @throws {ApexError} `conflict` if the task has another workspace
   */
  expect(workspace: Omit<Workspace, "containerId" | "containerName">): () => void {
    const containerName = plainContainerName(workspace.taskId);
    if (this.#isNameTaken(containerName)) return () => {};
    const entry = this.#registry.open({ ...workspace, containerName });
    return () => {
      if (entry.containerId === undefined) this.#registry.remove(entry);
    };
  }

  /** The workspace of a task that was not finished. */
  get(taskId: string): Workspace | undefined {
    const entry = this.#registry.get(taskId);
    return entry === undefined ? undefined : toWorkspace(entry);
  }

  /** All workspaces, those that are being removed included. */
  list(): Workspace[] {
    const mayHaveContainer = ({ isCleaned, isAbandoned, containerId }: WorkspaceEntry): boolean =>
      !isCleaned && !(isAbandoned && containerId === undefined);
    return this.#registry.list().filter(mayHaveContainer).map(toWorkspace);
  }

  /** The container of the task's current workspace, as the registry of containers has it. */
  container(taskId: string): ContainerRecord | undefined {
    return this.containerOf({ containerId: this.#registry.get(taskId)?.containerId });
  }

  /** The container of a workspace, as the registry of containers has it. */
  containerOf({ containerId }: { readonly containerId?: string | undefined }): ContainerRecord | undefined {
    return containerId === undefined ? undefined : this.#containers.find(containerId);
  }

  /** Containers that this instance created for tasks, and that are no workspace: kept ones, and those of earlier runs. */
  orphans(): OrphanedWorkspace[] {
    return unclaimed(this.#registry, this.#containers)
      .filter(({ containerId }) => this.#containers.owns(containerId));
  }

  /** Containers that other apex instances created for tasks, running ones included. */
  foreign(): OrphanedWorkspace[] {
    return unclaimed(this.#registry, this.#containers)
      .filter(({ containerId }) => !this.#containers.owns(containerId));
  }

  /**
   * Removes orphans, running ones included.
   *
   * @param names container names, ids or prefixes of ids; default: all orphans
   * @param options.of the candidates; default: the orphans of this instance
   */
  removeOrphans(
    names?: readonly string[],
    { of = this.orphans() }: { readonly of?: readonly OrphanedWorkspace[] } = {},
  ): Promise<OrphanRemovals> {
    return removeOrphans(of, { names, remove: (orphan) => this.#cleanup.removeOrphan(orphan) });
  }

  /** Adds a listener. The returned function removes it. */
  on<Name extends WorkspaceManagerEventName>(
    name: Name,
    listener: ListenerOf<WorkspaceManagerEvents, Name>,
  ): () => void {
    return this.#emitter.on(name, listener);
  }

  listenerCount(name?: WorkspaceManagerEventName): number {
    return this.#emitter.listenerCount(name);
  }

  /** Removes its listeners from the container layer, and aborts all removals. Idempotent. */
  [Symbol.dispose](): void {
    this.#listeners.dispose();
    this.#cleanup[Symbol.dispose]();
  }

  /** Disposes, and waits for the removals in the background. */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    await this.#cleanup[Symbol.asyncDispose]();
  }

  #forward<Name extends ContainerEventName>(
    source: ContainerEventSource<Name>,
    name: Name,
    then?: (event: ContainerEvents[Name]) => void,
  ): void {
    this.#listeners.defer(source.on(name, (event) => {
      this.#emitter.emit(name, event as WorkspaceManagerEvents[Name]);
      then?.(event);
    }));
  }

  #isNameTaken(name: string): boolean {
    return this.#registry.named(name) !== undefined || this.#containers.find(name)?.name === name;
  }

  #onCreated(event: ContainerEvents["container:created"]): void {
    if (!event.success) return;
    const { containerId, containerName, taskId } = event;
    let entry = this.#registry.withContainer(containerId);
    // The event may come before the reply to the request. The owner is checked because another instance may have the name.
    if (entry === undefined && this.#containers.owns(containerId)) {
      const named = this.#registry.named(containerName);
      if (named?.taskId === taskId && named?.containerId === undefined) entry = named;
    }
    if (entry === undefined || entry.isCreationPublished) return;
    this.#registry.identify(entry, containerId);
    entry.isCreationPublished = true;
    this.#emitter.emit("workspace-created", workspaceEvent(entry, event.timestamp));
    if (entry.isAbandoned) this.#cleanup.removeInBackground(entry, containerId);
  }

  #onRemoved(event: ContainerEvents["container:removed"]): void {
    if (!event.success) return;
    const entry = this.#registry.withContainer(event.containerId);
    if (entry !== undefined) this.#cleanup.cleaned(entry, event.timestamp);
  }

  #containerId(taskId: string): string {
    const id = this.#registry.get(taskId)?.containerId;
    if (id === undefined) {
      throw new ApexError("not_found", `task "${taskId}" has no container (see: apex tasks)`);
    }
    return id;
  }
}
