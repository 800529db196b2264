import type { ContainerEventName, ContainerEvents } from "../containers/changes/container_events.ts";
import type { ContainerRecord } from "../containers/container_record.ts";
import { type ContainerEventSource, ForwardingSet } from "../containers/forwarding.ts";
import { mayStillAppear } from "../containers/operations/abandoned_containers.ts";
import { hasNoProcess } from "../containers/operations/engine_refusals.ts";
import type { CreateOptions } from "../containers/operations/operation_options.ts";
import type { AttachConnection } from "../engine/attach_connection.ts";
import type { ContainerInspect } from "../engine/engine_types.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { type ListenerOf, TypedEmitter } from "../platform/typed_emitter.ts";
import {
  isKept,
  type OrphanedWorkspace,
  type Workspace,
  type WorkspaceEvents,
  type WorkspaceSpec,
} from "./workspace.ts";
import { toWorkspace, WorkspaceBook, type WorkspaceEntry, workspaceEvent } from "./workspace_book.ts";
import { WorkspaceCleanup, type WorkspaceCleanupOptions } from "./workspace_cleanup.ts";
import { workspaceContainer } from "./workspace_container.ts";
import type { WorkspaceContainers } from "./workspace_containers.ts";
import { freeContainerName, isNameTaken, plainContainerName } from "./workspace_name.ts";
import {
  asWorkspace,
  notAnOrphan,
  type OrphanRemovals,
  removeEach,
  selectOrphans,
} from "./workspace_orphans.ts";

/** What {@linkcode WorkspaceManager} emits, by name: the container events unchanged, and its own. */
export interface WorkspaceManagerEvents extends ContainerEvents, WorkspaceEvents {}

export type WorkspaceManagerEventName = keyof WorkspaceManagerEvents;

/** How a task ended, as far as its workspace is concerned. */
export type WorkspaceOutcome = "completed" | "failed" | "cancelled";

/** What a {@linkcode WorkspaceManager} is built from. */
export interface WorkspaceManagerOptions {
  /** {@linkcode ContainerManager}, as far as it is used. */
  readonly manager: WorkspaceContainers;
  /** {@linkcode ContainerHealthMonitor}, as far as it is listened to. */
  readonly health: ContainerEventSource<"container:health">;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Awaited before a container is removed; must not reject. The signal says that it takes too long. */
  readonly beforeRemoval?: WorkspaceCleanupOptions["beforeRemoval"];
}

/** Its signal gives up, also in the middle of pulling a missing image. */
export type CreateWorkspaceOptions = CreateOptions;

/** A name may be taken by somebody else in the moment between looking and creating. */
const MAX_NAMES = 5;

/**
 * The middle layer of the bridge. It forwards the events of the container layer (the manager's and the health monitor's)
 * to the orchestrator, in their order and unchanged; `container:lifecycle` stays below. And it keeps the workspaces of
 * tasks: makes their containers, knows which is whose, and cleans up.
 *
 * `workspace-created` and `workspace-cleaned` follow right behind the `container:created` and `container:removed` that
 * they are about, in the same synchronous block: from what the engine says, not from what it replied. What is kept by
 * policy, or could not be removed, is forgotten here and so an orphan, which `removeOrphans` removes; where only the engine
 * was away, it is removed when that is back.
 */
export class WorkspaceManager implements Disposable, AsyncDisposable {
  readonly #containers: WorkspaceContainers;
  readonly #emitter: TypedEmitter<WorkspaceManagerEvents>;
  readonly #forwarding = new ForwardingSet();
  readonly #book = new WorkspaceBook();
  readonly #cleanup: WorkspaceCleanup;

  constructor(options: WorkspaceManagerOptions) {
    const { manager, health, logger, clock, beforeRemoval } = options;
    this.#containers = manager;
    this.#emitter = new TypedEmitter((error, name) =>
      logger.error(`a listener of ${name} failed: ${messageOf(error)}`)
    );
    this.#cleanup = new WorkspaceCleanup({
      book: this.#book,
      containers: manager,
      onCleaned: (entry, timestamp) => {
        this.#emitter.emit("workspace-cleaned", workspaceEvent(entry, timestamp));
      },
      ...(beforeRemoval && { beforeRemoval }),
      clock: clock ?? systemClock,
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

  /**
   * Makes a task's container, named `apex-task-<taskId>`, or with a short suffix when that is taken. It is not started.
   *
   * @throws {ApexError} `conflict` when the task has a workspace, `usage` for a project directory that cannot be
   *   mounted, and whatever the engine says
   */
  async create(spec: WorkspaceSpec, options: CreateWorkspaceOptions = {}): Promise<Workspace> {
    const { taskId, policy, projectDir } = spec;
    const entry = this.#book.open({
      taskId,
      policy,
      containerName: freeContainerName(taskId, (name) => this.#isNameTaken(name)),
      ...(projectDir !== undefined && { workspacePath: projectDir }),
    });
    try {
      const id = await this.#createContainer(entry, spec, options);
      this.#book.identify(entry, id);
      return toWorkspace(entry);
    } catch (error) {
      const isUnclear = options.signal?.aborted === true || mayStillAppear(error);
      if (entry.containerId !== undefined || isUnclear) this.#cleanup.abandon(entry);
      else this.#book.forget(entry);
      throw error;
    }
  }

  /** Tells the engine that has the containers from others, after a restart as well; undefined until it was reached. */
  get engineId(): string | undefined {
    return this.#containers.engineId;
  }

  /** @throws {ApexError} `not_found` without such a workspace, and whatever the engine says; so do the next two */
  async start(taskId: string): Promise<void> {
    await this.#containers.start(this.#containerId(taskId));
  }

  /** The way to the container's standard input, to be opened before its start. Disposing it gives it up. */
  async openInput(taskId: string, signal?: AbortSignal): Promise<AttachConnection> {
    return await this.#containers.openInput(this.#containerId(taskId), signal);
  }

  /** @param options.timeoutSeconds of grace, before it is killed */
  async stop(taskId: string, options: { timeoutSeconds?: number } = {}): Promise<void> {
    await this.#containers.stop(this.#containerId(taskId), options);
  }

  /**
   * One whose process has just ended gets no signal, and that is no failure: its end is on its way here.
   *
   * @param signal `SIGINT` for example
   */
  async signal(taskId: string, signal: string): Promise<void> {
    const isTold = (error: unknown): boolean => !hasNoProcess(error);
    try {
      await this.#containers.kill(this.#containerId(taskId), { signal, isTold });
    } catch (error) {
      if (isTold(error)) throw error;
    }
  }

  /**
   * The task has ended: removes its container, or leaves it, as the policy says. Resolves when that is done, or, with
   * false, given up; the task may have a new workspace at once.
   */
  async finish(taskId: string, outcome: WorkspaceOutcome): Promise<boolean> {
    const entry = this.#book.get(taskId);
    if (entry === undefined) return true;
    this.#book.leave(entry);
    if (isKept(entry.policy, outcome) || entry.isCleaned) this.#book.forget(entry);
    else if (entry.containerId === undefined) this.#cleanup.abandon(entry);
    else return await this.#cleanup.remove(entry, entry.containerId);
    return true;
  }

  /**
   * A workspace of an earlier life, whose task has not been finished.
   *
   * @throws {ApexError} `conflict` when the task has another
   */
  adopt(workspace: Workspace): void {
    const { taskId, containerId, containerName } = workspace;
    const known = this.#book.get(taskId);
    if (known !== undefined && known.containerId !== undefined && known.containerId === containerId) return;
    const id = containerId ?? this.#namedContainer(taskId, containerName)?.id;
    const entry = this.#book.open({ ...workspace, ...(id !== undefined && { containerId: id }) });
    entry.isCreationTold = id !== undefined;
  }

  /**
   * A workspace of an earlier life of which nobody knows whether its container came to be; should the engine tell of it,
   * it is taken up. The returned function gives that up where it has not happened.
   *
   * @throws {ApexError} `conflict` when the task has another
   */
  expect(workspace: Omit<Workspace, "containerId" | "containerName">): () => void {
    const containerName = plainContainerName(workspace.taskId);
    if (this.#isNameTaken(containerName)) return () => {};
    const entry = this.#book.open({ ...workspace, containerName });
    return () => {
      if (entry.containerId === undefined) this.#book.forget(entry);
    };
  }

  /** Whether all that happened until now has been told. */
  get isCaughtUp(): boolean {
    return this.#containers.isCaughtUp;
  }

  /** Resolves when that is so, or the signal aborts. */
  async untilCaughtUp(signal: AbortSignal): Promise<void> {
    if (this.isCaughtUp || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const settle = (): void => resolve();
    this.#containers.on("engine:caught-up", settle);
    signal.addEventListener("abort", settle, { once: true });
    try {
      await promise;
    } finally {
      this.#containers.off("engine:caught-up", settle);
      signal.removeEventListener("abort", settle);
    }
  }

  /** The task's, as long as it is not finished. */
  get(taskId: string): Workspace | undefined {
    const entry = this.#book.get(taskId);
    return entry === undefined ? undefined : toWorkspace(entry);
  }

  /** Those whose removal is under way, too. */
  list(): Workspace[] {
    // A creation that was given up has left nothing, as far as is known.
    const isThere = ({ isCleaned, isAbandoned, containerId }: WorkspaceEntry): boolean =>
      !isCleaned && !(isAbandoned && containerId === undefined);
    return this.#book.list().filter(isThere).map(toWorkspace);
  }

  /** What the registry knows of the task's container. */
  container(taskId: string): ContainerRecord | undefined {
    const id = this.#book.get(taskId)?.containerId;
    return id === undefined ? undefined : this.#containers.find(id);
  }

  /** The same of a workspace, also of one that is no task's any more. */
  containerOf({ containerId }: Workspace): ContainerRecord | undefined {
    return containerId === undefined ? undefined : this.#containers.find(containerId);
  }

  /**
   * What the engine says of the task's container now.
   *
   * @throws {ApexError} `not_found` without such a workspace or container, and whatever the engine says
   */
  async inspect(taskId: string, signal?: AbortSignal): Promise<ContainerInspect> {
    return await this.#containers.inspect(this.#containerId(taskId), signal);
  }

  /** The id of this apex instance, with which it labels the containers that it creates. */
  get instance(): string {
    return this.#containers.instance;
  }

  /** Containers that this instance created for tasks, and that are no workspace: kept ones, and remains of earlier runs. */
  orphans(): OrphanedWorkspace[] {
    return this.#unclaimed().filter(({ containerId }) => this.#containers.owns(containerId));
  }

  /** Containers that other apex instances created for tasks, running ones too. */
  foreign(): OrphanedWorkspace[] {
    return this.#unclaimed().filter(({ containerId }) => !this.#containers.owns(containerId));
  }

  /**
   * Removes orphans, running ones too.
   *
   * @param names containers, by name or id; all orphans by default
   * @param options.of the candidates; by default the orphans of this instance
   */
  async removeOrphans(
    names?: readonly string[],
    { of: orphans = this.orphans() }: { readonly of?: readonly OrphanedWorkspace[] } = {},
  ): Promise<OrphanRemovals> {
    const { selected, unknown } = names === undefined
      ? { selected: orphans, unknown: [] }
      : selectOrphans(orphans, names);
    const { removed, failed } = await removeEach(selected, (orphan) => this.#cleanup.removeOrphan(orphan));
    return {
      removed,
      failed: [...unknown.map((name) => ({ name, error: notAnOrphan(name).message })), ...failed],
    };
  }

  on<Name extends WorkspaceManagerEventName>(
    name: Name,
    listener: ListenerOf<WorkspaceManagerEvents, Name>,
  ): this {
    this.#emitter.on(name, listener);
    return this;
  }

  off<Name extends WorkspaceManagerEventName>(
    name: Name,
    listener: ListenerOf<WorkspaceManagerEvents, Name>,
  ): this {
    this.#emitter.off(name, listener);
    return this;
  }

  listenerCount(name?: WorkspaceManagerEventName): number {
    return this.#emitter.listenerCount(name);
  }

  /** Removes each listener that was added to the container layer, and gives up what is under way. May be called again. */
  [Symbol.dispose](): void {
    this.#forwarding[Symbol.dispose]();
    this.#cleanup[Symbol.dispose]();
  }

  /** The same, and waits for what was under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    await this.#cleanup[Symbol.asyncDispose]();
  }

  #forward<Name extends ContainerEventName>(
    source: ContainerEventSource<Name>,
    name: Name,
    then?: (event: ContainerEvents[Name]) => void,
  ): void {
    this.#forwarding.add(source, name, (event) => {
      this.#emitter.emit(name, event as WorkspaceManagerEvents[Name]);
      then?.(event);
    });
  }

  /** The entry has the container's name before the engine is asked: its event may come before its reply. */
  async #createContainer(
    entry: WorkspaceEntry,
    spec: WorkspaceSpec,
    options: CreateWorkspaceOptions,
  ): Promise<string> {
    const container = await workspaceContainer(spec);
    const refused = new Set<string>();
    for (;;) {
      try {
        const { id } = await this.#containers.create({ ...container, name: entry.containerName }, options);
        return id;
      } catch (error) {
        refused.add(entry.containerName);
        if (!isNameTaken(error) || refused.size === MAX_NAMES) throw error;
        const isTaken = (name: string): boolean => refused.has(name) || this.#isNameTaken(name);
        this.#book.rename(entry, freeContainerName(spec.taskId, isTaken));
      }
    }
  }

  #isNameTaken(name: string): boolean {
    return this.#book.named(name) !== undefined || this.#containers.find(name)?.name === name;
  }

  #onCreated(event: ContainerEvents["container:created"]): void {
    if (!event.success) return;
    const { containerId, containerName, taskId } = event;
    let entry = this.#book.withContainer(containerId);
    // The engine's event may be here before its reply to the request. Another instance may have taken the name.
    if (entry === undefined && this.#containers.owns(containerId)) {
      const named = this.#book.named(containerName);
      if (named?.taskId === taskId && named?.containerId === undefined) entry = named;
    }
    if (entry === undefined || entry.isCreationTold) return;
    this.#book.identify(entry, containerId);
    entry.isCreationTold = true;
    this.#emitter.emit("workspace-created", workspaceEvent(entry, event.timestamp));
    if (entry.isAbandoned) this.#cleanup.removeUnattended(entry, containerId);
  }

  #onRemoved(event: ContainerEvents["container:removed"]): void {
    if (!event.success) return;
    const entry = this.#book.withContainer(event.containerId);
    if (entry !== undefined) this.#cleanup.cleaned(entry, event.timestamp);
  }

  #unclaimed(): OrphanedWorkspace[] {
    const isClaimed = ({ containerId, containerName }: OrphanedWorkspace): boolean =>
      this.#book.withContainer(containerId) !== undefined ||
      (this.#book.named(containerName) !== undefined && this.#containers.owns(containerId));
    return this.#containers.list().map(asWorkspace).filter((each) => each !== undefined)
      .filter((each) => !isClaimed(each));
  }

  #containerId(taskId: string): string {
    const id = this.#book.get(taskId)?.containerId;
    if (id === undefined) {
      throw new ApexError("not_found", `task "${taskId}" has no container (try: apex tasks)`);
    }
    return id;
  }

  #namedContainer(taskId: string, name: string): ContainerRecord | undefined {
    return this.#containers.list().find((record) =>
      record.name === name && record.taskId === taskId && this.#containers.owns(record.id)
    );
  }
}
