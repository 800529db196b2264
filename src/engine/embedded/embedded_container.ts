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
import { ContainerLog } from "./container_log.ts";
import type { ContainerState } from "./container_state.ts";
import { ContainerSupervisor } from "./container_supervisor.ts";
import type { ContainerSpec } from "./create_request.ts";
import type { WaitCondition, WaitResult } from "./exit_waiters.ts";
import { HttpError } from "./http_error.ts";
import type { EngineTime } from "./nano_time.ts";
import { parseSignal, SIGKILL, SIGTERM } from "./signals.ts";

const DEFAULT_STOP_TIMEOUT_SECONDS = 10;

export interface ContainerOptions {
  readonly id: string;
  readonly name: string;
  readonly spec: ContainerSpec;
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
  readonly createdNano: bigint;
  readonly log: ContainerLog;
  /** Without the leading slash; changed by the store alone. */
  name: string;
  readonly #options: ContainerOptions;
  readonly #supervisor: ContainerSupervisor;
  #removal: Promise<void> | undefined;
  /** Its process is gone, its directory is being removed. */
  #isRemoving = false;

  /** Publishes `create`. */
  constructor(options: ContainerOptions) {
    this.#options = options;
    const { id, name, spec, dir, clock, time, logger } = options;
    this.id = id;
    this.name = name;
    this.spec = spec;
    this.log = new ContainerLog({ dir: join(dir, "log"), nextTime: () => time.next() });
    this.#supervisor = new ContainerSupervisor({
      containerId: id,
      spec,
      dir,
      log: this.log,
      clock,
      time,
      logger,
      publish: (action, attributes) => this.#publish(action, attributes),
      onEnded: () => this.#autoRemove(),
    });
    this.createdNano = this.#publish("create");
  }

  /** As Docker counts it: one that is paused, or about to be restarted, is running too. */
  get isRunning(): boolean {
    return this.#supervisor.isRunning;
  }

  get state(): ContainerState {
    const { state } = this.#supervisor;
    return this.#isRemoving ? { ...state, status: "removing" } : state;
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

  pause(): void {
    const { status } = this.state;
    if (!this.isRunning) throw new HttpError(409, `Container ${this.id} is not running`);
    if (status === "paused") throw new HttpError(409, `Container ${this.id} is already paused`);
    if (status === "restarting") {
      throw new HttpError(409, `Container ${this.id} is restarting, wait until the container is running`);
    }
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
    if (this.#removal !== undefined) {
      throw new HttpError(409, `removal of container ${this.name} is already in progress`);
    }
    if (this.isRunning && !force) {
      const { status } = this.state;
      const procedure = "top the container before attempting removal or force remove";
      throw new HttpError(
        409,
        `You cannot remove a ${status} container ${this.id}. ` +
          (status === "paused" ? `Unpause and then s${procedure}` : `S${procedure}`),
      );
    }
    await this.#beginRemoval();
  }

  /** Tells of a new name; the store has changed it in the same block. */
  publishRename(oldName: string): void {
    this.#publish("rename", { oldName: `/${oldName}` });
  }

  /** Ends the process without ceremony and waits for it: the engine closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#supervisor[Symbol.asyncDispose]();
    await this.#removal;
  }

  get #stopSignal(): number | undefined {
    return parseSignal(this.spec.stopSignal ?? "");
  }

  /** Nobody waits for it, so what goes wrong is logged. */
  async #autoRemove(): Promise<void> {
    if (!this.spec.autoRemove || this.#removal !== undefined) return;
    try {
      await this.#beginRemoval();
    } catch (error) {
      this.#options.logger.error(`embedded engine: cannot remove ${this.name}: ${messageOf(error)}`);
    }
  }

  /** Starts the removal; if it fails the container stays, and can be removed again. */
  #beginRemoval(): Promise<void> {
    const removal = this.#removeNow().catch((error) => {
      this.#removal = undefined;
      this.#isRemoving = false;
      this.#supervisor.allowStarts();
      throw error;
    });
    return this.#removal = removal;
  }

  async #removeNow(): Promise<void> {
    this.#supervisor.forbidStarts();
    if (this.isRunning) this.#signal(SIGKILL);
    await this.#supervisor.exited;
    this.#isRemoving = true;
    await removeTree(this.#options.dir);
    this.#options.onRemoved(this);
    this.#publish("destroy");
    this.#supervisor.removed();
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

async function removeTree(dir: string): Promise<void> {
  try {
    await Deno.remove(dir, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // Never started: it has none.
  }
}
