import type { AttachConnection } from "../engine/attach_connection.ts";
import type { ContainerStats } from "../engine/container_stats.ts";
import type { EngineClient } from "../engine/engine_client.ts";
import { EventFollower } from "../engine/events/event_follower.ts";
import type { ExecResult } from "../engine/exec_command.ts";
import type { LogsOptions, LogStartOptions } from "../engine/logs/container_logs.ts";
import type { LogChunk } from "../engine/logs/log_frames.ts";
import type { LogTail, LogTailOptions } from "../engine/logs/log_tail.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { type ListenerOf, TypedEmitter } from "../platform/typed_emitter.ts";
import { newInstanceId } from "../storage/instance_file.ts";
import { INSTANCE_LABEL } from "./apex_labels.ts";
import type { ManagerEventName, ManagerEvents } from "./changes/container_events.ts";
import { ContainerTracker, type WatchedHealth } from "./changes/container_tracker.ts";
import type { ContainerRecord } from "./container_record.ts";
import { ContainerOperations } from "./operations/container_operations.ts";
import {
  ContainerQuestions,
  type InspectedContainer,
  type WaitOptions,
} from "./operations/container_questions.ts";
import type { ContainerSpec } from "./operations/container_spec.ts";
import { ContainerTargets } from "./operations/container_targets.ts";
import type {
  CreatedContainer,
  CreateOptions,
  ExecOptions,
  KillOptions,
  PullImageOptions,
  RemoveOptions,
  RestartOptions,
  StartOptions,
  StopOptions,
} from "./operations/operation_options.ts";
import type { ContainerCheckpoints } from "./reconcile/container_checkpoints.ts";

/** What a {@linkcode ContainerManager} is built from. The client stays its owner's to dispose. */
export interface ContainerManagerOptions {
  readonly client: EngineClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The id of the apex instance whose containers these are. Default: a new one, which ends with this manager. */
  readonly instance?: string;
  /** Of the previous run of apex, and for the next one. Without them, existing containers are not announced. */
  readonly checkpoints?: ContainerCheckpoints | undefined;
}

/**
 * The lowest layer of the bridge: follows the engine, keeps the registry of its containers, and emits what happens to
 * them. The registry and the event that tells of its change are always in step: inside a listener, `list()` already
 * shows what the event says.
 *
 * Its operations name a container by id, by an unambiguous prefix of that, or by name. One that fails emits its event with
 * `success: false`, and then rejects with the engine's reason, as an EngineError (`not_found`, `conflict`, `engine`) or an
 * ApexError (`usage`, `timeout`). One whose signal aborts rejects with the signal's reason, and emits nothing. What
 * succeeds is told by the engine's own events, which may come before or after the operation resolves.
 *
 * A listener that throws is logged and harms nobody else.
 */
export class ContainerManager implements AsyncDisposable {
  /** The id of this apex instance: the label `apex.instance` of each container that it creates. */
  readonly instance: string;
  readonly #emitter: TypedEmitter<ManagerEvents>;
  readonly #tracker: ContainerTracker;
  readonly #follower: EventFollower;
  readonly #operations: ContainerOperations;
  readonly #questions: ContainerQuestions;

  constructor(options: ContainerManagerOptions) {
    const { client, clock, logger, checkpoints } = options;
    this.instance = options.instance ?? newInstanceId();
    this.#emitter = new TypedEmitter((error, name) =>
      logger.error(`a listener of ${name} failed: ${messageOf(error)}`)
    );
    this.#tracker = new ContainerTracker({
      emitter: this.#emitter,
      inspect: (id, signal) => client.inspectContainer(id, signal),
      requestReconcile: () => this.#follower.requestReconcile(),
      checkpoints,
      clock,
      logger,
    });
    this.#follower = new EventFollower({
      client,
      handlers: this.#tracker,
      clock,
      logger,
      ...(checkpoints !== undefined && { recall: (engineId: string) => checkpoints.recall(engineId) }),
    });
    const targets = new ContainerTargets((nameOrId) => this.#tracker.registry.known(nameOrId));
    this.#operations = new ContainerOperations({
      client,
      targets,
      emitter: this.#emitter,
      expectRemoval: (id, forced) => this.#tracker.expectRemoval(id, forced),
      expectKill: (id, signal) => this.#tracker.expectKill(id, signal),
      clock,
      logger,
    });
    this.#questions = new ContainerQuestions({ client, targets, clock });
  }

  /** Starts following the engine. Add the listeners first: nothing is told twice. */
  follow(): void {
    this.#follower.start();
  }

  /** Tells the engine from others, after a restart as well; undefined until it was reached. */
  get engineId(): string | undefined {
    return this.#tracker.engineId;
  }

  /** Everything that happened before now has been told, but for what is on its way; `engine:caught-up` says so. */
  get isCaughtUp(): boolean {
    return this.#tracker.isCaughtUp;
  }

  /** All containers that exist, stopped ones too, in the order in which they became known. */
  list(): ContainerRecord[] {
    return this.#tracker.registry.list();
  }

  /**
   * The container with that name or id; a prefix of the id will do where no other has it.
   * @throws {ApexError} `conflict` when several ids begin so
   */
  find(nameOrId: string): ContainerRecord | undefined {
    return this.#tracker.registry.find(nameOrId);
  }

  /**
   * Whether this apex instance created that container. Every decision to adopt, end or remove a container by its label or
   * its name asks this first: another instance's containers are followed, and otherwise left alone.
   *
   * @param id the full one
   */
  owns(id: string): boolean {
    return this.#tracker.registry.find(id)?.labels[INSTANCE_LABEL] === this.instance;
  }

  /** As {@linkcode find} by id, and also one that was removed lately. */
  known(id: string): ContainerRecord | undefined {
    return this.#tracker.registry.known(id);
  }

  /** The one of that id or name that was removed last; undefined when too many were removed since. */
  latelyRemoved(nameOrId: string): ContainerRecord | undefined {
    return this.#tracker.registry.latelyRemoved(nameOrId);
  }

  /** Creates a container, labelled as this instance's; an image that is missing is pulled. */
  create(spec: ContainerSpec, options?: CreateOptions): Promise<CreatedContainer> {
    const labels = { ...spec.labels, [INSTANCE_LABEL]: this.instance };
    return this.#operations.create({ ...spec, labels }, options);
  }

  /** One that runs already counts as started. */
  start(target: string, options?: StartOptions): Promise<void> {
    return this.#operations.start(target, options);
  }

  /** Resolves when it has ended; one that does not run counts as stopped. */
  stop(target: string, options?: StopOptions): Promise<void> {
    return this.#operations.stop(target, options);
  }

  /** Sends a signal, SIGKILL by default. */
  kill(target: string, options?: KillOptions): Promise<void> {
    return this.#operations.kill(target, options);
  }

  restart(target: string, options?: RestartOptions): Promise<void> {
    return this.#operations.restart(target, options);
  }

  remove(target: string, options?: RemoveOptions): Promise<void> {
    return this.#operations.remove(target, options);
  }

  rename(target: string, name: string): Promise<void> {
    return this.#operations.rename(target, name);
  }

  pause(target: string): Promise<void> {
    return this.#operations.pause(target);
  }

  unpause(target: string): Promise<void> {
    return this.#operations.unpause(target);
  }

  /** Runs a command in a running container; no shell is asked. Resolves when it has ended, whatever its exit code. */
  exec(target: string, cmd: readonly string[], options?: ExecOptions): Promise<ExecResult> {
    return this.#operations.exec(target, cmd, options);
  }

  /** Pulls an image, also if it is there. Rejects as an operation does, but emits nothing: it is about no container. */
  pullImage(image: string, options?: PullImageOptions): Promise<void> {
    return this.#operations.pullImage(image, options);
  }

  /** The engine's own description of a container. A question: when it fails it rejects, and emits nothing. */
  inspect(target: string, signal?: AbortSignal): Promise<InspectedContainer> {
    return this.#questions.inspect(target, signal);
  }

  /** What a container uses now. A question. */
  stats(target: string, signal?: AbortSignal): Promise<ContainerStats> {
    return this.#questions.stats(target, signal);
  }

  /** Resolves when a container does not run (any more). A question. */
  wait(target: string, options?: WaitOptions): Promise<{ exitCode: number }> {
    return this.#questions.wait(target, options);
  }

  /** What a container has said, and says. A question. To end it while a piece is awaited, abort its signal. */
  logs(target: string, options?: LogsOptions): AsyncIterable<LogChunk> {
    return this.#questions.logs(target, options);
  }

  /** The way to a container's standard input. A question: when it fails it rejects, and emits nothing. */
  openInput(target: string, signal?: AbortSignal): Promise<AttachConnection> {
    return this.#questions.openInput(target, signal);
  }

  /**
   * Where its last lines begin, for `start` of {@linkcode logs}; undefined where the engine cannot say. A question.
   */
  logStart(target: string, options: LogStartOptions): Promise<string | undefined> {
    return this.#questions.logStart(target, options);
  }

  /** The end of what an ended container without a terminal has said. A question. */
  logTail(target: string, options: LogTailOptions): Promise<LogTail> {
    return this.#questions.logTail(target, options);
  }

  /** What the health monitor's own watch found: becomes a report of the container's health, like the engine's. */
  reportHealth(id: string, health: WatchedHealth): void {
    this.#tracker.reportHealth(id, health);
  }

  on<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): this {
    this.#emitter.on(name, listener);
    return this;
  }

  once<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): this {
    this.#emitter.once(name, listener);
    return this;
  }

  off<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): this {
    this.#emitter.off(name, listener);
    return this;
  }

  /** Of one event, or of all. */
  listenerCount(name?: ManagerEventName): number {
    return this.#emitter.listenerCount(name);
  }

  /**
   * Stops following: once it has resolved nothing is told, and what is known stays as it is. What happens from then on is
   * for the next life to tell, so whoever publishes events ends after this. May be called again.
   */
  async stopFollowing(): Promise<void> {
    await this.#follower[Symbol.asyncDispose]();
    await this.#tracker.stop();
  }

  /** Stops following; an exit whose verdict was still held is not told. Listeners are left to those who added them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#follower[Symbol.asyncDispose]();
    await this.#tracker[Symbol.asyncDispose]();
  }
}
