/**
 * One container: the operations of the API on it, and their refusals with Docker's messages. Owns the container's supervisor
 * (its process and state), its log and its directory. Each change of state and its event are in one synchronous block, so
 * the order of events is the order of causes. Operations that end a process send the signal and wait until the supervisor
 * has handled the exit. The orders of events are those of Docker 20.10.
 */
import { join } from "@std/path/posix";
import { messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { parseEngineSignal, SIGKILL, SIGTERM } from "../../platform/signals.ts";
import { HttpError } from "../http/http_message.ts";
import { cannotResize } from "../processes/terminal_plan.ts";
import type { ConsoleSize } from "../spec/body_schema.ts";
import type { CreateSpec } from "../spec/create_request.ts";
import type { EngineTime } from "../spec/nano_time.ts";
import { ContainerExecs } from "./container_execs.ts";
import { ContainerLog } from "./container_log.ts";
import type { ExitCondition, WaitResult } from "./container_run.ts";
import { checkPause, checkRemoval, type EmbeddedContainerState } from "./container_state.ts";
import { ContainerStreams } from "./container_streams.ts";
import { ContainerSupervisor } from "./container_supervisor.ts";

const DEFAULT_STOP_TIMEOUT_SECONDS = 10;

export interface ContainerOptions {
  readonly id: string;
  readonly name: string;
  readonly spec: CreateSpec;
  readonly imageId: string;
  /** The container's own directory; removed with it. */
  readonly dir: string;
  readonly clock: Clock;
  readonly time: EngineTime;
  /** Publishes an event of this container, and returns the event's time. */
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
  readonly spec: CreateSpec;
  readonly imageId: string;
  readonly createdNano: bigint;
  readonly log: ContainerLog;
  readonly streams: ContainerStreams;
  readonly execs: ContainerExecs;
  /** Without the leading slash. Only the index changes it. */
  name: string;
  readonly #options: ContainerOptions;
  readonly #supervisor: ContainerSupervisor;
  /** The removal, from its beginning on; undefined again after one that failed. */
  #removal: Promise<void> | undefined;
  /** The process has exited, and the directory is being removed. */
  #isRemoving = false;

  /** Publishes `create`. */
  constructor(options: ContainerOptions) {
    this.#options = options;
    const { id, name, spec, dir, time } = options;
    this.id = id;
    this.name = name;
    this.spec = spec;
    this.imageId = options.imageId;
    this.log = new ContainerLog({ dir: join(dir, "log"), nextTime: () => time.next() });
    this.streams = new ContainerStreams(this.log);
    const shared = {
      ...options,
      containerId: id,
      homeDir: join(dir, "home"),
      publish: (action: string, attributes?: Readonly<Record<string, string>>) =>
        this.#publish(action, attributes),
    };
    this.execs = new ContainerExecs(shared);
    this.#supervisor = new ContainerSupervisor({
      ...shared,
      streams: this.streams,
      execs: this.execs,
      onEnded: () => this.#autoRemove(),
    });
    this.createdNano = this.#publish("create");
  }

  /** As in Docker, a container that is paused, or waits for its restart, is running too. */
  get isRunning(): boolean {
    return this.#supervisor.isRunning;
  }

  get state(): EmbeddedContainerState {
    const { state } = this.#supervisor;
    return this.#isRemoving ? { ...state, status: "removing" } : state;
  }

  /** @returns false when it was running already */
  async start(): Promise<boolean> {
    return await this.#supervisor.start();
  }

  /**
   * Sends the stop signal, and SIGKILL after the timeout. A negative timeout waits indefinitely.
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
    // As in Docker, any signal to a container without a stop signal of its own suspends the restart policy.
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
    // Stopping the processes at a terminal one by one would wake the shell that waits for them.
    if (this.spec.tty || this.execs.running.some(({ spec }) => spec.tty)) {
      throw new HttpError(
        501,
        `the embedded engine cannot pause container ${this.name}, because it has a terminal: ` +
          "use docker or podman (--engine)",
      );
    }
    this.#supervisor.pause();
    this.#publish("pause");
  }

  unpause(): void {
    if (this.state.status !== "paused") throw new HttpError(500, `Container ${this.id} is not paused`);
    this.#supervisor.resume();
    this.#publish("unpause");
  }

  /** @throws the reason of `abort` when it aborts */
  async wait(condition: ExitCondition, abort: AbortSignal): Promise<WaitResult> {
    return await this.#supervisor.wait(condition, abort);
  }

  /** @throws {HttpError} 409 when it runs and `force` is not set, or when its removal has begun already */
  async remove({ force }: { force: boolean }): Promise<void> {
    if (this.#removal !== undefined) {
      throw new HttpError(409, `removal of container ${this.name} is already in progress`);
    }
    checkRemoval(this, force);
    await this.#remove();
  }

  /**
   * Sets the size of its terminal, now or when it starts.
   * @throws {HttpError} 500 when the size could not be set
   */
  async resize(size: ConsoleSize): Promise<void> {
    if (!(await this.#supervisor.resize(size))) throw cannotResize();
    if (this.isRunning) this.#publish("resize", { height: String(size.rows), width: String(size.columns) });
  }

  /** Publishes that a client attached, or detached with its keys. */
  publishClient(action: "attach" | "detach"): void {
    this.#publish(action);
  }

  /** Publishes a new name. The index has set it in the same synchronous block. */
  publishRename(oldName: string): void {
    this.#publish("rename", { oldName: `/${oldName}` });
  }

  /** Kills the process and waits for its exit: the engine closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#supervisor[Symbol.asyncDispose]();
    this.streams.endAttachments();
    await this.#removal;
  }

  get #stopSignal(): number | undefined {
    return parseEngineSignal(this.spec.stopSignal ?? "");
  }

  /** Nothing awaits this removal, so a failure is logged. */
  async #autoRemove(): Promise<void> {
    if (!this.spec.autoRemove || this.#removal !== undefined) return;
    try {
      await this.#remove();
    } catch (error) {
      this.#options.logger.error(`embedded engine: cannot remove ${this.name}: ${messageOf(error)}`);
    }
  }

  /** After a failure the container still exists, and can be started or removed again. */
  async #remove(): Promise<void> {
    this.#removal = this.#removeNow().catch((error) => {
      this.#removal = undefined;
      this.#isRemoving = false;
      this.#supervisor.allowStarts();
      throw error;
    });
    await this.#removal;
  }

  async #removeNow(): Promise<void> {
    await this.#supervisor.forbidStarts();
    if (this.isRunning) this.#signal(SIGKILL);
    await this.#supervisor.exited;
    this.#isRemoving = true;
    await removeTree(this.#options.dir);
    this.#options.onRemoved(this);
    this.#publish("destroy");
    this.#supervisor.removed();
    this.streams.endAttachments();
  }

  /** Signals the group and publishes `kill`. A paused container is resumed, since it could not act on the signal. */
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

async function removeTree(dir: string): Promise<void> {
  try {
    await Deno.remove(dir, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // A container that never started has no directory.
  }
}
