/**
 * Keeps a container's command running as its restart policy says, and knows in which state that is. Owns the current run,
 * the restart timer, and those who wait for an exit. Starts come one after another; an exit is handled in one place,
 * `#onExit`. It publishes what happens without anybody's asking: `start` and `die`. What people ask for, and the words in
 * which it is refused, is the container's.
 */
import { messageOf } from "../../platform/apex_error.ts";
import { settlesWithin } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { SIGKILL } from "../../platform/signals.ts";
import { HttpError } from "../http/http_error.ts";
import { LaunchError } from "../processes/launch_plan.ts";
import type { ContainerSpec } from "../spec/create_request.ts";
import { type EngineTime, nanoToMs } from "../spec/nano_time.ts";
import type { TerminalSize } from "../terminals/terminal_size.ts";
import type { ContainerExecs } from "./container_execs.ts";
import { launchContainer } from "./container_launch.ts";
import type { ContainerRun } from "./container_run.ts";
import type { ContainerState, ContainerStatus } from "./container_state.ts";
import type { ContainerStreams } from "./container_streams.ts";
import { ExitWaiters, type WaitCondition, type WaitResult } from "./exit_waiters.ts";
import type { HealthCheck } from "./health_check.ts";
import { RestartBackoff } from "./restart_backoff.ts";

export interface ContainerSupervisorOptions {
  readonly containerId: string;
  readonly spec: ContainerSpec;
  /** The container's own directory. */
  readonly dir: string;
  readonly homeDir: string;
  readonly streams: ContainerStreams;
  readonly execs: ContainerExecs;
  readonly clock: Clock;
  readonly time: EngineTime;
  readonly logger: Logger;
  /** Publishes an event of the container, and tells the event's time. */
  readonly publish: (action: string, attributes?: Readonly<Record<string, string>>) => bigint;
  /** It has ended, or failed to start, and nothing starts it again by itself. Never rejects. */
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
  /** The part of a start in which its process comes to be, and files with it. */
  #launching: Promise<unknown> = Promise.resolve();
  /** Somebody asked for the end: the restart policy does not apply to it. */
  #endWanted = false;
  #mayStart = true;
  #size: TerminalSize;

  constructor(options: ContainerSupervisorOptions) {
    this.#options = options;
    this.#backoff = new RestartBackoff(options.spec.restartPolicy, options.clock);
    this.#size = options.spec.size;
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

  /** Resolves when the exit of the current run is handled; at once when there is none. */
  get exited(): Promise<void> {
    return this.#exitHandled;
  }

  /** For good: no start succeeds any more until {@linkcode allowStarts}, and one that is under way is awaited. */
  async forbidStarts(): Promise<void> {
    this.#mayStart = false;
    this.wantEnd();
    await this.#launching.catch(() => {}); // It is told to who started it.
  }

  allowStarts(): void {
    this.#mayStart = true;
  }

  /** Waits for that; a negative time-out is none. False when the time is up. */
  async exitsWithin(timeoutSeconds: number): Promise<boolean> {
    const timeoutMs = timeoutSeconds < 0 ? undefined : timeoutSeconds * 1_000;
    return await settlesWithin(this.#exitHandled, { timeoutMs, clock: this.#options.clock });
  }

  /**
   * Somebody starts it: the restart policy counts from here.
   * @returns false when it runs already
   * @throws {HttpError} 400 or 500 when it cannot be run, 409 when it is paused or may not start any more
   */
  async start(): Promise<boolean> {
    const result = this.#starting.then(() => this.#startNow());
    this.#starting = result.catch(() => {}); // The caller gets the failure; the next start only waits its turn.
    return await result;
  }

  /** The end that comes next is wanted; one that waits for its restart has ended with this. */
  wantEnd(): void {
    this.#endWanted = true;
    if (this.#status !== "restarting") return;
    this.#backoff.cancel();
    this.#status = "exited";
    this.#waiters.exited(this.#waitResult(), { runsAgain: false });
  }

  /**
   * Signals the process, if there is one.
   * @returns false for a signal that cannot be sent
   */
  signal(number: number): boolean {
    return this.#run?.signal(number) ?? true;
  }

  /**
   * Also of the runs to come.
   * @returns false when the size could not be set
   */
  async resize(size: TerminalSize): Promise<boolean> {
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

  /** @throws the signal's reason when it aborts */
  async wait(condition: WaitCondition, signal: AbortSignal): Promise<WaitResult> {
    if (condition === "not-running" && !this.isRunning) return this.#waitResult();
    return await this.#waiters.wait(condition, signal);
  }

  /** The container is gone: whoever still waits is told. */
  removed(): void {
    this.#waiters.removed(this.#waitResult());
  }

  /** Ends the process without ceremony and waits for it. */
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

  /** Runs the command; a failure leaves the status as it was, with the exit code and the error to inspect. */
  async #launch(): Promise<void> {
    const { time, publish } = this.#options;
    const size = this.#size;
    let run: ContainerRun;
    try {
      const launching = launchContainer({
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
    if (this.#size !== size) void run.resize(this.#size); // Whoever asked for it has been answered.
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
    if (cause instanceof HttpError) return cause; // A mount's source that is not there.
    return new HttpError(cause instanceof LaunchError ? 400 : 500, this.#error, { cause });
  }

  /** One synchronous block: state, `die`, and what follows from it. */
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

  #waitResult(): WaitResult {
    return this.#error === ""
      ? { exitCode: this.#exitCode }
      : { exitCode: this.#exitCode, error: this.#error };
  }
}
