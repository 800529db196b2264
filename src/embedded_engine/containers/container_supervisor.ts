/**
 * Runs a container's command, and restarts it as its restart policy says. Owns the container's state, the current run, the
 * restart timer, and the waiters for an exit. Starts happen one after another, and each exit is handled in `#onExit`. It
 * publishes `start` and `die`; the container publishes the events of the API's operations, and refuses them.
 */
import { messageOf } from "../../platform/apex_error.ts";
import { settlesWithin } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { SIGKILL } from "../../platform/signals.ts";
import { HttpError } from "../http/http_message.ts";
import { LaunchError } from "../processes/launch_plan.ts";
import type { ConsoleSize } from "../spec/body_schema.ts";
import type { CreateSpec } from "../spec/create_request.ts";
import { type EngineTime, nanoToMs } from "../spec/nano_time.ts";
import type { ContainerExecs } from "./container_execs.ts";
import { ContainerRun, type ExitCondition, ExitWaiters, type WaitResult } from "./container_run.ts";
import type { ContainerStatus, EmbeddedContainerState } from "./container_state.ts";
import type { ContainerStreams } from "./container_streams.ts";
import type { HealthCheck } from "./health_check.ts";
import { RestartBackoff } from "./restart_backoff.ts";

export interface ContainerSupervisorOptions {
  readonly containerId: string;
  readonly spec: CreateSpec;
  /** The container's own directory. */
  readonly dir: string;
  readonly homeDir: string;
  readonly streams: ContainerStreams;
  readonly execs: ContainerExecs;
  readonly clock: Clock;
  readonly time: EngineTime;
  readonly logger: Logger;
  /** Publishes an event of the container, and returns the event's time. */
  readonly publish: (action: string, attributes?: Readonly<Record<string, string>>) => bigint;
  /** Called when it has exited, or failed to start, and the policy does not start it again. Never rejects. */
  readonly onEnded: () => Promise<void>;
}

export class ContainerSupervisor implements AsyncDisposable {
  readonly #options: ContainerSupervisorOptions;
  readonly #waiters = new ExitWaiters();
  readonly #backoff: RestartBackoff;
  #status: Exclude<ContainerStatus, "removing"> = "created";
  #exitCode = 0;
  #error = "";
  #startedNano: bigint | undefined;
  #finishedNano: bigint | undefined;
  #run: ContainerRun | undefined;
  #health: HealthCheck | undefined;
  /** A background task that disposal awaits. */
  #exitHandled: Promise<void> = Promise.resolve();
  #starting: Promise<unknown> = Promise.resolve();
  /** The part of a start in which its process and its files are created. */
  #launching: Promise<unknown> = Promise.resolve();
  /** A request asked for the next exit, so the restart policy does not apply to it. */
  #endWanted = false;
  #mayStart = true;
  #size: ConsoleSize;

  constructor(options: ContainerSupervisorOptions) {
    this.#options = options;
    this.#backoff = new RestartBackoff(options.spec.restartPolicy, options.clock);
    this.#size = options.spec.size;
  }

  /** As in Docker, a container that is paused, or waits for its restart, is running too. */
  get isRunning(): boolean {
    return this.#status === "running" || this.#status === "paused" || this.#status === "restarting";
  }

  get state(): EmbeddedContainerState {
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

  /** Resolves when the exit of the current run is handled; at once when nothing runs. */
  get exited(): Promise<void> {
    return this.#exitHandled;
  }

  /** Makes every start fail until {@linkcode allowStarts}, and waits for one that is in progress. */
  async forbidStarts(): Promise<void> {
    this.#mayStart = false;
    this.wantEnd();
    await this.#launching.catch(() => {}); // Its own caller gets the error.
  }

  allowStarts(): void {
    this.#mayStart = true;
  }

  /** Waits for {@linkcode exited}; a negative timeout waits indefinitely. @returns false when the time is up */
  async exitsWithin(timeoutSeconds: number): Promise<boolean> {
    const timeoutMs = timeoutSeconds < 0 ? undefined : timeoutSeconds * 1_000;
    return await settlesWithin(this.#exitHandled, { timeoutMs, clock: this.#options.clock });
  }

  /**
   * Starts it by request: the restart policy counts from here.
   * @returns false when it was running already
   * @throws {HttpError} 400 or 500 when it cannot be run, 409 when it is paused or starts are forbidden
   */
  async start(): Promise<boolean> {
    const result = this.#starting.then(() => this.#startNow());
    this.#starting = result.catch(() => {}); // The caller gets the error; the next start only waits for this one.
    return await result;
  }

  /** Suspends the restart policy for the next exit. A container that waits for its restart ends at once. */
  wantEnd(): void {
    this.#endWanted = true;
    if (this.#status !== "restarting") return;
    this.#backoff.cancel();
    this.#status = "exited";
    this.#waiters.exited(this.#waitResult(), { runsAgain: false });
  }

  /**
   * Signals the process, if one runs.
   * @returns false for a signal that cannot be sent
   */
  signal(number: number): boolean {
    return this.#run?.signal(number) ?? true;
  }

  /**
   * Sets the size of the terminal, for this run and later ones.
   * @returns false when the size could not be set
   */
  async resize(size: ConsoleSize): Promise<boolean> {
    this.#size = size;
    return await this.#run?.resize(size) ?? true;
  }

  pause(): void {
    this.#run?.pause();
    this.#status = "paused";
  }

  resume(): void {
    this.#run?.resume();
    this.#status = "running";
  }

  /** @throws the reason of `abort` when it aborts */
  async wait(condition: ExitCondition, abort: AbortSignal): Promise<WaitResult> {
    if (condition === "not-running" && !this.isRunning) return this.#waitResult();
    return await this.#waiters.wait(condition, abort);
  }

  /** The container was removed: ends all waits. */
  removed(): void {
    this.#waiters.removed(this.#waitResult());
  }

  /** Kills the process and waits for its exit. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.forbidStarts();
    await this.#starting;
    this.#run?.signal(SIGKILL);
    await this.#exitHandled;
  }

  async #startNow(): Promise<boolean> {
    if (this.#status === "paused") {
      throw new HttpError(409, "cannot start a paused container, try unpause instead");
    }
    if (this.isRunning) return false;
    this.#backoff.reset();
    this.#endWanted = !this.#mayStart;
    await this.#launch();
    return true;
  }

  /** Runs the command. A failure does not change the status; inspect shows its exit code and error. */
  async #launch(): Promise<void> {
    const { time, publish } = this.#options;
    const size = this.#size;
    let run: ContainerRun;
    try {
      const launching = ContainerRun.start({
        ...this.#options,
        size,
        nextTime: () => time.next(),
        isUnwanted: () => this.#endWanted,
      });
      this.#launching = launching;
      run = await launching;
    } catch (error) {
      if (this.#endWanted) throw error;
      throw await this.#launchFailed(error);
    }
    if (this.#size !== size) void run.resize(this.#size); // The request has been answered already.
    this.#run = run;
    this.#status = "running";
    this.#exitCode = 0;
    this.#error = "";
    this.#health = run.health;
    this.#startedNano = publish("start");
    this.#exitHandled = run.ended.then((exitCode) => this.#onExit(exitCode));
  }

  async #launchFailed(cause: unknown): Promise<HttpError> {
    this.#error = messageOf(cause);
    this.#exitCode = cause instanceof LaunchError ? cause.exitCode : 128;
    this.#options.streams.endAttachments();
    await this.#options.onEnded();
    if (cause instanceof HttpError) return cause; // The source of a mount does not exist.
    return new HttpError(cause instanceof LaunchError ? 400 : 500, this.#error, { cause });
  }

  /** Changes the state, publishes `die`, and resolves the waits, in one synchronous block. */
  #onExit(exitCode: number): void {
    const { time, publish, onEnded } = this.#options;
    this.#run = undefined;
    this.#exitCode = exitCode;
    const ranMs = nanoToMs(time.next() - (this.#startedNano ?? 0n));
    const delayMs = this.#endWanted ? undefined : this.#backoff.delayAfter({ exitCode, ranMs });
    this.#status = delayMs === undefined ? "exited" : "restarting";
    this.#finishedNano = publish("die", { exitCode: String(exitCode) });
    this.#waiters.exited(this.#waitResult(), { runsAgain: delayMs !== undefined });
    if (delayMs === undefined) void onEnded();
    else this.#backoff.schedule(delayMs, () => this.#starting = this.#restartNow());
  }

  /** The start by the restart policy. It publishes no `restart`, and after a failure it is not tried again. */
  async #restartNow(): Promise<void> {
    try {
      await this.#launch();
    } catch (error) {
      if (!(error instanceof HttpError)) throw error; // Inspect shows it.
      this.#status = "exited";
      this.#waiters.exited(this.#waitResult(), { runsAgain: false });
    }
  }

  #waitResult(): WaitResult {
    return this.#error === ""
      ? { exitCode: this.#exitCode }
      : { exitCode: this.#exitCode, error: this.#error };
  }
}
