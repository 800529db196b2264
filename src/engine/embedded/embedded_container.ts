/**
 * One container: its state, its process, and the operations of the API on it. Owns the process group, the log, the
 * health check and the restart timer. Every change of state and the event that tells of it stand in one synchronous
 * block, so the order of events is the order of causes. An exit is handled in one place, `#onExit`; operations that
 * end a process send the signal and wait for it. Event orders are those recorded from Docker 20.10.
 */
import { join } from "@std/path/posix";
import { messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { ContainerLog } from "./container_log.ts";
import { ContainerRun } from "./container_run.ts";
import type { ContainerSpec } from "./create_request.ts";
import { ExitWaiters, type WaitCondition, type WaitResult } from "./exit_waiters.ts";
import type { HealthCheck } from "./health_check.ts";
import { HttpError } from "./http_error.ts";
import { commandOf, LaunchError, planLaunch } from "./launch_plan.ts";
import { type EngineTime, nanoToMs } from "./nano_time.ts";
import { PROCESS_FILE } from "./process_file.ts";
import { RestartBackoff } from "./restart_backoff.ts";
import { parseSignal } from "./signals.ts";

export type ContainerStatus = "created" | "running" | "paused" | "restarting" | "removing" | "exited";

/** What inspect and the list tell of a container. */
export interface ContainerState {
  readonly status: ContainerStatus;
  readonly pid: number;
  readonly exitCode: number;
  /** Why the last start failed; empty when it did not. */
  readonly error: string;
  readonly startedNano: bigint | undefined;
  readonly finishedNano: bigint | undefined;
  readonly health: HealthCheck | undefined;
  readonly restartCount: number;
}

const SIGKILL = 9;
const SIGTERM = 15;
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
  readonly #waiters = new ExitWaiters();
  readonly #backoff: RestartBackoff;
  #status: ContainerStatus = "created";
  #exitCode = 0;
  #error = "";
  #startedNano: bigint | undefined;
  #finishedNano: bigint | undefined;
  #run: ContainerRun | undefined;
  /** Health of the current or the last run. */
  #health: HealthCheck | undefined;
  /** Resolves when the current run's exit is handled; a background task that disposal awaits. */
  #exitHandled: Promise<void> = Promise.resolve();
  #starting: Promise<unknown> = Promise.resolve();
  #removal: Promise<void> | undefined;
  /** Somebody asked for the end: the restart policy does not apply to it. */
  #endWanted = false;

  /** Publishes `create`. */
  constructor(options: ContainerOptions) {
    this.#options = options;
    this.id = options.id;
    this.name = options.name;
    this.spec = options.spec;
    this.log = new ContainerLog({ dir: join(options.dir, "log"), nextTime: () => options.time.next() });
    this.#backoff = new RestartBackoff(options.spec.restartPolicy, options.clock);
    this.createdNano = this.#publish("create");
  }

  /** As Docker counts it: one that is paused, or about to be restarted, is running too. */
  get isRunning(): boolean {
    return this.#status === "running" || this.#status === "paused" || this.#status === "restarting";
  }

  get state(): ContainerState {
    return {
      status: this.#status,
      pid: this.#run?.pid ?? 0,
      exitCode: this.#exitCode,
      error: this.#error,
      startedNano: this.#startedNano,
      finishedNano: this.#finishedNano,
      health: this.#health,
      restartCount: this.#backoff.restartCount,
    };
  }

  /** @returns false when it runs already */
  async start(): Promise<boolean> {
    const result = this.#starting.then(() => this.#startNow());
    this.#starting = result.catch(() => {}); // The caller gets the failure; the next start only waits its turn.
    return await result;
  }

  /**
   * Sends the stop signal, and SIGKILL after the time-out; a negative one waits for ever.
   * @returns false when it was not running
   */
  async stop(
    timeoutSeconds = this.spec.stopTimeoutSeconds ?? DEFAULT_STOP_TIMEOUT_SECONDS,
  ): Promise<boolean> {
    if (!this.isRunning) return false;
    if (this.#status === "restarting") {
      this.#giveUpRestarting();
    } else {
      const exited = this.#exitHandled;
      this.#endWanted = true;
      this.#signal(parseSignal(this.spec.stopSignal ?? "") ?? SIGTERM);
      if (!(await this.#endsWithin(exited, timeoutSeconds))) this.#signal(SIGKILL);
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
    if (this.#status === "restarting") return this.#giveUpRestarting();
    const exited = this.#exitHandled;
    // Docker without a stop signal of the container's own: whoever signals it at all wants its end.
    this.#endWanted ||= signal === SIGKILL || signal === (parseSignal(this.spec.stopSignal ?? "") ?? signal);
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
    if (!this.isRunning) throw new HttpError(409, `Container ${this.id} is not running`);
    if (this.#status === "paused") throw new HttpError(409, `Container ${this.id} is already paused`);
    if (this.#status === "restarting") {
      throw new HttpError(409, `Container ${this.id} is restarting, wait until the container is running`);
    }
    this.#run?.pause();
    this.#status = "paused";
    this.#publish("pause");
  }

  unpause(): void {
    if (this.#status !== "paused") throw new HttpError(500, `Container ${this.id} is not paused`);
    this.#run?.resume();
    this.#status = "running";
    this.#publish("unpause");
  }

  /** @throws the signal's reason when it aborts */
  async wait(condition: WaitCondition, signal: AbortSignal): Promise<WaitResult> {
    if (condition === "not-running" && !this.isRunning) return this.#waitResult();
    return await this.#waiters.wait(condition, signal);
  }

  /** @throws {HttpError} 409 when it runs and `force` is not given, or its removal is under way */
  async remove({ force }: { force: boolean }): Promise<void> {
    if (this.#removal !== undefined) {
      throw new HttpError(409, `removal of container ${this.name} is already in progress`);
    }
    if (this.isRunning && !force) {
      const procedure = "top the container before attempting removal or force remove";
      throw new HttpError(
        409,
        `You cannot remove a ${this.#status} container ${this.id}. ` +
          (this.#status === "paused" ? `Unpause and then s${procedure}` : `S${procedure}`),
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
    this.#endWanted = true;
    if (this.#status === "restarting") this.#giveUpRestarting();
    await this.#starting;
    this.#run?.signal(SIGKILL);
    await this.#exitHandled;
    await this.#removal;
  }

  async #startNow(): Promise<boolean> {
    if (this.#status === "paused") {
      throw new HttpError(409, "cannot start a paused container, try unpause instead");
    }
    if (this.isRunning) return false;
    this.#backoff.reset();
    this.#endWanted = this.#removal !== undefined;
    await this.#launch();
    return true;
  }

  /** Runs the command; a failure leaves the status as it was, with the exit code and the error to inspect. */
  async #launch(): Promise<void> {
    const { id: containerId, spec, log } = this;
    const { dir, clock, time, logger } = this.#options;
    const homeDir = join(dir, "home");
    try {
      await Deno.mkdir(homeDir, { recursive: true, mode: 0o700 });
      const plan = await planLaunch(commandOf(spec), { containerId, spec, homeDir });
      // Removed, stopped in its back-off, or the engine closed, while this looked for the program.
      if (this.#endWanted) throw new HttpError(409, "container is marked for removal and cannot be started");
      this.#run = new ContainerRun(plan, {
        containerId,
        spec,
        homeDir,
        log,
        clock,
        logger,
        nextTime: () => time.next(),
        publish: (action, attributes) => this.#publish(action, attributes),
        processFile: join(dir, PROCESS_FILE),
      });
    } catch (error) {
      if (error instanceof HttpError) throw error;
      await this.#launchFailed(error);
    }
    this.#status = "running";
    this.#exitCode = 0;
    this.#error = "";
    this.#health = this.#run?.health;
    this.#startedNano = this.#publish("start");
    this.#exitHandled = this.#run!.ended.then((exitCode) => this.#onExit(exitCode));
  }

  async #launchFailed(error: unknown): Promise<never> {
    this.#error = messageOf(error);
    this.#exitCode = error instanceof LaunchError ? error.exitCode : 128;
    if (this.spec.autoRemove) await this.#beginRemoval();
    throw new HttpError(error instanceof LaunchError ? 400 : 500, this.#error, { cause: error });
  }

  /** One synchronous block: state, `die`, and what follows from it. */
  #onExit(exitCode: number): void {
    this.#run = undefined;
    this.#exitCode = exitCode;
    const ranMs = nanoToMs(this.#options.time.next() - (this.#startedNano ?? 0n));
    const delayMs = this.#endWanted ? undefined : this.#backoff.delayAfter({ exitCode, ranMs });
    this.#status = delayMs === undefined ? "exited" : "restarting";
    this.#finishedNano = this.#publish("die", { exitCode: String(exitCode) });
    this.#waiters.exited(this.#waitResult(), { runsAgain: delayMs !== undefined });
    if (delayMs !== undefined) {
      this.#backoff.schedule(delayMs, () => this.#starting = this.#restartNow());
    } else if (this.spec.autoRemove && this.#removal === undefined) {
      void this.#beginRemoval().catch((error) =>
        this.#options.logger.error(`embedded engine: cannot remove ${this.name}: ${messageOf(error)}`)
      );
    }
  }

  /** The restart policy's own start: no `restart` event; a failure ends the container for good. */
  async #restartNow(): Promise<void> {
    try {
      await this.#launch();
    } catch (error) {
      if (!(error instanceof HttpError)) throw error; // What went wrong is in `error`, for inspect.
      this.#status = "exited";
      this.#waiters.exited(this.#waitResult(), { runsAgain: false });
    }
  }

  #giveUpRestarting(): void {
    this.#endWanted = true;
    this.#backoff.cancel();
    this.#status = "exited";
    this.#waiters.exited(this.#waitResult(), { runsAgain: false });
  }

  /** Starts the removal; if it fails the container stays, and can be removed again. */
  #beginRemoval(): Promise<void> {
    const removal = this.#removeNow().catch((error) => {
      this.#removal = undefined;
      this.#status = "exited";
      throw error;
    });
    return this.#removal = removal;
  }

  async #removeNow(): Promise<void> {
    this.#endWanted = true;
    if (this.#status === "restarting") this.#giveUpRestarting();
    if (this.#run !== undefined) this.#signal(SIGKILL);
    await this.#exitHandled;
    this.#status = "removing";
    await removeTree(this.#options.dir);
    this.#options.onRemoved(this);
    this.#publish("destroy");
    this.#waiters.removed(this.#waitResult());
  }

  /** Signals the group and says so; a paused one is let go on, else it could not act on the signal. */
  #signal(signal: number): void {
    if (this.#run?.signal(signal) === false) {
      throw new HttpError(
        500,
        `Cannot kill container: ${this.name}: The linux daemon does not support signal ${signal}`,
      );
    }
    this.#publish("kill", { signal: String(signal) });
    if (this.#status === "paused" && signal !== SIGKILL) this.unpause();
  }

  async #endsWithin(exited: Promise<void>, timeoutSeconds: number): Promise<boolean> {
    const { promise: timedOut, resolve } = Promise.withResolvers<false>();
    const cancel = timeoutSeconds < 0
      ? () => {}
      : this.#options.clock.after(timeoutSeconds * 1_000, () => resolve(false));
    const ended = await Promise.race([exited.then(() => true), timedOut]);
    cancel();
    return ended;
  }

  #waitResult(): WaitResult {
    return this.#error === ""
      ? { exitCode: this.#exitCode }
      : { exitCode: this.#exitCode, error: this.#error };
  }

  #publish(action: string, attributes: Record<string, string> = {}): bigint {
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
