/**
 * One container: what the API can ask of it, and what it refuses in Docker's words. Owns the container's supervisor (its
 * process and state), its log and its directory. Every change of state and the event that tells of it stand in one
 * synchronous block, so the order of events is the order of causes. Operations that end a process send the signal and
 * wait until the supervisor has handled the exit. Event orders are those recorded from Docker 20.10.
 */
import { join } from "@std/path/posix";
import { messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { parseEngineSignal, SIGKILL, SIGTERM } from "../../platform/signals.ts";
import { HttpError } from "../http/http_error.ts";
import type { ContainerSpec } from "../spec/create_request.ts";
import type { EngineTime } from "../spec/nano_time.ts";
import { CANNOT_RESIZE, type TerminalSize } from "../terminals/terminal_size.ts";
import { ContainerExecs } from "./container_execs.ts";
import { ContainerLog } from "./container_log.ts";
import { checkPause, checkRemoval } from "./container_refusals.ts";
import { ContainerRemoval } from "./container_removal.ts";
import type { ContainerState } from "./container_state.ts";
import { ContainerStreams } from "./container_streams.ts";
import { ContainerSupervisor } from "./container_supervisor.ts";
import type { WaitCondition, WaitResult } from "./exit_waiters.ts";

const DEFAULT_STOP_TIMEOUT_SECONDS = 10;

export interface ContainerOptions {
  readonly id: string;
  readonly name: string;
  readonly spec: ContainerSpec;
  readonly imageId: string;
  /** A directory of this container's own; removed with it. */
  readonly dir: string;
  readonly clock: Clock;
  readonly time: EngineTime;
  /** Publishes an event of this container, and tells the event's time. */
  readonly publish: (
    container: EmbeddedContainer,
    action: string,
    attributes: Record<string, string>,
  ) => bigint;
  /** Called in the block in which the container ceases to exist, before `destroy` is published. */
  readonly onRemoved: (container: EmbeddedContainer) => void;
  readonly logger: Logger;
}

export class EmbeddedContainer implements AsyncDisposable {
  readonly id: string;
  readonly spec: ContainerSpec;
  readonly imageId: string;
  readonly createdNano: bigint;
  readonly log: ContainerLog;
  readonly streams: ContainerStreams;
  /** The commands beside its own. */
  readonly execs: ContainerExecs;
  /** Without the leading slash; changed by the store alone. */
  name: string;
  readonly #options: ContainerOptions;
  readonly #supervisor: ContainerSupervisor;
  readonly #removal: ContainerRemoval;

  /** Publishes `create`. */
  constructor(options: ContainerOptions) {
    this.#options = options;
    const { id, name, spec, dir, clock, time, logger } = options;
    this.id = id;
    this.name = name;
    this.spec = spec;
    this.imageId = options.imageId;
    this.log = new ContainerLog({ dir: join(dir, "log"), nextTime: () => time.next() });
    this.streams = new ContainerStreams(this.log);
    const homeDir = join(dir, "home");
    const publish = (action: string, attributes?: Readonly<Record<string, string>>) =>
      this.#publish(action, attributes);
    this.execs = new ContainerExecs({ containerId: id, spec, dir, homeDir, logger, publish });
    this.#supervisor = new ContainerSupervisor({
      containerId: id,
      spec,
      dir,
      homeDir,
      streams: this.streams,
      execs: this.execs,
      clock,
      time,
      logger,
      publish,
      onEnded: () => this.#autoRemove(),
    });
    this.#removal = new ContainerRemoval({
      dir,
      name: () => this.name,
      endProcess: () => this.#endForRemoval(),
      onRemoved: () => this.#onRemoved(),
      onFailed: () => this.#supervisor.allowStarts(),
    });
    this.createdNano = this.#publish("create");
  }

  /** As Docker counts it: one that is paused, or about to be restarted, is running too. */
  get isRunning(): boolean {
    return this.#supervisor.isRunning;
  }

  get state(): ContainerState {
    const { state } = this.#supervisor;
    return this.#removal.isRemoving ? { ...state, status: "removing" } : state;
  }

  /** @returns false when it runs already */
  async start(): Promise<boolean> {
    return await this.#supervisor.start();
  }

  /**
   * Sends the stop signal, and SIGKILL after the time-out; a negative one waits for ever.
   * @returns false when it was not running
   */
  async stop(
    timeoutSeconds = this.spec.stopTimeoutSeconds ?? DEFAULT_STOP_TIMEOUT_SECONDS,
  ): Promise<boolean> {
    if (!this.isRunning) return false;
    const wasRestarting = this.state.status === "restarting";
    const { exited } = this.#supervisor;
    this.#supervisor.wantEnd();
    if (!wasRestarting) {
      this.#signal(this.#stopSignal ?? SIGTERM);
      if (!(await this.#supervisor.exitsWithin(timeoutSeconds))) this.#signal(SIGKILL);
      await exited;
    }
    this.#publish("stop");
    return true;
  }

  /** @throws {HttpError} 409 when it is not running, 500 for a signal that cannot be sent */
  async kill(signal: number): Promise<void> {
    if (!this.isRunning) {
      throw new HttpError(409, `Cannot kill container: ${this.name}: Container ${this.id} is not running`);
    }
    if (this.state.status === "restarting") return this.#supervisor.wantEnd();
    const { exited } = this.#supervisor;
    // Docker without a stop signal of the container's own: whoever signals it at all wants its end.
    if (signal === SIGKILL || signal === (this.#stopSignal ?? signal)) this.#supervisor.wantEnd();
    this.#signal(signal);
    if (signal === SIGKILL) await exited;
  }

  async restart(timeoutSeconds?: number): Promise<void> {
    if (this.isRunning) await this.stop(timeoutSeconds);
    try {
      await this.start();
    } catch (error) {
      throw new HttpError(500, `Cannot restart container ${this.name}: ${messageOf(error)}`, {
        cause: error,
      });
    }
    this.#publish("restart");
  }

  /** @throws {HttpError} 409 when it does not run or is paused, 501 when it or one of its execs has a terminal */
  pause(): void {
    checkPause(this);
    this.#supervisor.pause();
    this.#publish("pause");
  }

  unpause(): void {
    if (this.state.status !== "paused") throw new HttpError(500, `Container ${this.id} is not paused`);
    this.#supervisor.resume();
    this.#publish("unpause");
  }

  /** @throws the signal's reason when it aborts */
  async wait(condition: WaitCondition, signal: AbortSignal): Promise<WaitResult> {
    return await this.#supervisor.wait(condition, signal);
  }

  /** @throws {HttpError} 409 when it runs and `force` is not given, or its removal is under way */
  async remove({ force }: { force: boolean }): Promise<void> {
    this.#removal.checkNotBegun();
    checkRemoval(this, { force });
    await this.#removal.remove();
  }

  /**
   * Tells the program at its terminal the new size, now or when it starts.
   * @throws {HttpError} 500 when the size could not be set
   */
  async resize(size: TerminalSize): Promise<void> {
    if (!(await this.#supervisor.resize(size))) throw new HttpError(500, CANNOT_RESIZE);
    if (this.isRunning) this.#publish("resize", { height: String(size.rows), width: String(size.columns) });
  }

  /** Tells of a client that attached itself, or let go by its keys. */
  publishClient(action: "attach" | "detach"): void {
    this.#publish(action);
  }

  /** Tells of a new name; the store has changed it in the same block. */
  publishRename(oldName: string): void {
    this.#publish("rename", { oldName: `/${oldName}` });
  }

  /** Ends the process without ceremony and waits for it: the engine closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#supervisor[Symbol.asyncDispose]();
    this.streams.endAttachments();
    await this.#removal.done;
  }

  get #stopSignal(): number | undefined {
    return parseEngineSignal(this.spec.stopSignal ?? "");
  }

  /** Nobody waits for it, so what goes wrong is logged. */
  async #autoRemove(): Promise<void> {
    if (!this.spec.autoRemove || this.#removal.hasBegun) return;
    try {
      await this.#removal.remove();
    } catch (error) {
      this.#options.logger.error(`embedded engine: cannot remove ${this.name}: ${messageOf(error)}`);
    }
  }

  async #endForRemoval(): Promise<void> {
    await this.#supervisor.forbidStarts();
    if (this.isRunning) this.#signal(SIGKILL);
    await this.#supervisor.exited;
  }

  #onRemoved(): void {
    this.#options.onRemoved(this);
    this.#publish("destroy");
    this.#supervisor.removed();
    this.streams.endAttachments();
  }

  /** Signals the group and says so; a paused one is let go on, else it could not act on the signal. */
  #signal(signal: number): void {
    if (!this.#supervisor.signal(signal)) {
      throw new HttpError(
        500,
        `Cannot kill container: ${this.name}: The linux daemon does not support signal ${signal}`,
      );
    }
    this.#publish("kill", { signal: String(signal) });
    if (this.state.status === "paused" && signal !== SIGKILL) this.unpause();
  }

  #publish(action: string, attributes: Readonly<Record<string, string>> = {}): bigint {
    return this.#options.publish(this, action, attributes);
  }
}
