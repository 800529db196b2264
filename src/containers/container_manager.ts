import type { AttachConnection } from "../engine/attach_connection.ts";
import type { ContainerStats } from "../engine/container_stats.ts";
import type { EngineClient } from "../engine/engine_client.ts";
import { EventFollower } from "../engine/events/event_follower.ts";
import type { ExecResult } from "../engine/exec_command.ts";
import type { LogsOptions, LogStartOptions } from "../engine/logs/container_logs.ts";
import type { LogChunk } from "../engine/logs/log_frames.ts";
import type { LogTail, LogTailOptions } from "../engine/logs/log_tail.ts";
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
import type {
  ContainerSpec,
  CreatedContainer,
  CreateOptions,
  ExecOptions,
  KillOptions,
  PullImageOptions,
  RemoveOptions,
  RestartOptions,
  StartOptions,
  StopOptions,
} from "./operations/container_spec.ts";
import { ContainerTargets } from "./operations/container_targets.ts";
import type { ContainerCheckpoints } from "./reconcile/container_checkpoints.ts";

export interface ContainerManagerOptions {
  /** Disposed by its owner. */
  readonly client: EngineClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The id of this apex instance. Default: a new one, for the lifetime of the manager. */
  readonly instance?: string;
  /** Of the previous run of apex, and for the next one. Without them, existing containers are not announced. */
  readonly checkpoints?: ContainerCheckpoints | undefined;
}

/**
 * The lowest layer of the bridge: follows the engine, keeps the registry of its containers, and emits what happens to
 * them. The registry and the events are always in step: inside a listener, `list()` already shows what the event says.
 *
 * Operations and questions take a container's id, an unambiguous prefix of it, or its name. An operation that fails emits
 * its event with `success: false`, and then rejects with an EngineError (`not_found`, `conflict`, `engine`) or an ApexError
 * (`usage`, `timeout`). One that is aborted rejects with the abort reason, and emits nothing. The event of a successful
 * operation is the engine's own; it may come before or after the operation resolves. A question that fails rejects, and
 * emits nothing.
 *
 * The error of a listener that throws is logged; the other listeners are still called.
 */
export class ContainerManager implements AsyncDisposable {
  /** The id of this apex instance: the value of the label `apex.instance` of each container that it creates. */
  readonly instance: string;
  readonly #emitter: TypedEmitter<ManagerEvents>;
  readonly #tracker: ContainerTracker;
  readonly #follower: EventFollower;
  readonly #operations: ContainerOperations;
  readonly #questions: ContainerQuestions;

  constructor(options: ContainerManagerOptions) {
    const { client, clock, logger, checkpoints } = options;
    this.instance = options.instance ?? newInstanceId();
    this.#emitter = TypedEmitter.logging(logger);
    this.#tracker = new ContainerTracker({
      emitter: this.#emitter,
      inspect: (id, abort) => client.inspectContainer(id, abort),
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
    const { ownActions, registry } = this.#tracker;
    const targets = new ContainerTargets((nameOrId) => registry.known(nameOrId));
    this.#operations = new ContainerOperations({
      client,
      targets,
      emitter: this.#emitter,
      ownActions,
      clock,
      logger,
    });
    this.#questions = new ContainerQuestions({ client, targets, clock });
  }

  /** Starts following the engine. Add the listeners first: events are emitted once. */
  follow(): void {
    this.#follower.start();
  }

  /** Identifies the engine, also across its restarts; undefined until apex has reached it. */
  get engineId(): string | undefined {
    return this.#tracker.engineId;
  }

  /** What happened while the engine was not connected has been published; `engine:caught-up` reports that. */
  get isCaughtUp(): boolean {
    return this.#tracker.isCaughtUp;
  }

  /** All containers, stopped ones too, in the order in which they became known. */
  list(): ContainerRecord[] {
    return this.#tracker.registry.list();
  }

  /**
   * The container with that id, name, or unambiguous prefix of an id.
   * @throws {ApexError} `conflict` for a prefix of several ids
   */
  find(nameOrId: string): ContainerRecord | undefined {
    return this.#tracker.registry.find(nameOrId);
  }

  /**
   * Whether this apex instance created that container. It adopts, ends and removes no others: it only follows them.
   *
   * @param id the full id
   */
  owns(id: string): boolean {
    return this.#tracker.registry.find(id)?.labels[INSTANCE_LABEL] === this.instance;
  }

  /** Like {@linkcode find}; also finds a recently removed container by its full id. */
  known(id: string): ContainerRecord | undefined {
    return this.#tracker.registry.known(id);
  }

  /** The most recently removed container of that id or name; undefined when too many were removed since. */
  latelyRemoved(nameOrId: string): ContainerRecord | undefined {
    return this.#tracker.registry.latelyRemoved(nameOrId);
  }

  /** Creates a container with the label of this instance. A missing image is pulled. */
  create(spec: ContainerSpec, options?: CreateOptions): Promise<CreatedContainer> {
    const labels = { ...spec.labels, [INSTANCE_LABEL]: this.instance };
    return this.#operations.create({ ...spec, labels }, options);
  }

  /** A container that already runs counts as started. */
  start(target: string, options?: StartOptions): Promise<void> {
    return this.#operations.start(target, options);
  }

  /** Resolves when the container has ended. One that does not run counts as stopped. */
  stop(target: string, options?: StopOptions): Promise<void> {
    return this.#operations.stop(target, options);
  }

  /** Sends a Unix signal, SIGKILL by default. */
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

  /** Runs a command, without a shell, in a running container. Resolves when it has ended, whatever its exit code. */
  exec(target: string, cmd: readonly string[], options?: ExecOptions): Promise<ExecResult> {
    return this.#operations.exec(target, cmd, options);
  }

  /** Pulls an image, even if the engine has it. Emits nothing, because no container is involved. */
  pullImage(image: string, options?: PullImageOptions): Promise<void> {
    return this.#operations.pullImage(image, options);
  }

  /** The engine's description of a container. */
  inspect(target: string, abort?: AbortSignal): Promise<InspectedContainer> {
    return this.#questions.inspect(target, abort);
  }

  /** What a container uses now. */
  stats(target: string, abort?: AbortSignal): Promise<ContainerStats> {
    return this.#questions.stats(target, abort);
  }

  /** Resolves when a container does not run. */
  wait(target: string, options?: WaitOptions): Promise<{ exitCode: number }> {
    return this.#questions.wait(target, options);
  }

  /** The output of a container, past and future. To end the iteration while it waits for output, use `abort`. */
  logs(target: string, options?: LogsOptions): AsyncIterable<LogChunk> {
    return this.#questions.logs(target, options);
  }

  /** Connects to a container's standard input. The caller disposes the connection. */
  openInput(target: string, abort?: AbortSignal): Promise<AttachConnection> {
    return this.#questions.openInput(target, abort);
  }

  /** Where the last lines of the output begin, for `start` of {@linkcode logs}; undefined if the engine cannot say. */
  logStart(target: string, options: LogStartOptions): Promise<string | undefined> {
    return this.#questions.logStart(target, options);
  }

  /** The last output of an ended container without a terminal. */
  logTail(target: string, options: LogTailOptions): Promise<LogTail> {
    return this.#questions.logTail(target, options);
  }

  /** Reports what the health monitor's own watch found, like a health report of the engine. */
  reportHealth(id: string, health: WatchedHealth): void {
    this.#tracker.reportHealth(id, health);
  }

  /** Adds a listener. The returned function removes it. */
  on<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): () => void {
    return this.#emitter.on(name, listener);
  }

  once<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): void {
    this.#emitter.once(name, listener);
  }

  off<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): void {
    this.#emitter.off(name, listener);
  }

  /** Of one event, or of all events. */
  listenerCount(name?: ManagerEventName): number {
    return this.#emitter.listenerCount(name);
  }

  /**
   * Stops following. Once it has resolved, nothing is emitted, and the registry stays readable. The next run of apex
   * publishes what happens from then on, so the publishers of events must end after this. Idempotent.
   */
  async stopFollowing(): Promise<void> {
    await this.#follower[Symbol.asyncDispose]();
    await this.#tracker.stop();
  }

  /** Stops following, and forgets the containers. A held exit is not published. Listeners stay registered. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#follower[Symbol.asyncDispose]();
    await this.#tracker[Symbol.asyncDispose]();
  }
}
