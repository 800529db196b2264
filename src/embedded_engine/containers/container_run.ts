/**
 * One run of a container, from the start of its process to its end. Owns the process, passes its output on, and probes its
 * health. It has no state machine, and publishes only the events of probes; the supervisor decides what an end means.
 */
import { join } from "@std/path/posix";
import { messageOf } from "../../platform/apex_error.ts";
import { Latch } from "../../platform/async/latch.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { SIGCONT, SIGKILL, SIGSTOP } from "../../platform/signals.ts";
import { HttpError } from "../http/http_message.ts";
import type { ContainerProcess } from "../processes/container_process.ts";
import { commandOf, type LaunchPlan, planLaunch } from "../processes/launch_plan.ts";
import { forgetProcess, PROCESS_FILE, rememberProcess } from "../processes/process_file.ts";
import { spawnProcess } from "../processes/spawn_process.ts";
import { checkSources } from "../spec/bind_mounts.ts";
import type { ConsoleSize } from "../spec/body_schema.ts";
import type { CreateSpec } from "../spec/create_request.ts";
import type { ContainerExecs } from "./container_execs.ts";
import type { ContainerStreams } from "./container_streams.ts";
import { HealthCheck, type HealthCheckOptions } from "./health_check.ts";

export interface ContainerRunOptions {
  readonly containerId: string;
  readonly spec: CreateSpec;
  /** The container's own directory; it has the process file of the run. */
  readonly dir: string;
  readonly homeDir: string;
  readonly streams: ContainerStreams;
  /** Opened and closed with the run. */
  readonly execs: ContainerExecs;
  /** The first size of its terminal, if it has one. */
  readonly size: ConsoleSize;
  readonly clock: Clock;
  readonly nextTime: () => bigint;
  readonly publish: HealthCheckOptions["publish"];
  readonly logger: Logger;
  /** Whether the end was requested in the meantime: the container was removed or stopped, or the engine closes. */
  readonly isUnwanted: () => boolean;
}

type WaitForWrite = (written: Promise<void>) => Promise<void>;

export class ContainerRun {
  /** The exit code, once the process has exited, all output is in the log, and probing has ended. Never rejects. */
  readonly ended: Promise<number>;
  readonly health: HealthCheck | undefined;
  readonly #options: ContainerRunOptions;
  readonly #process: ContainerProcess;
  readonly #waitForWrite: WaitForWrite;

  /**
   * Creates the directories that the container needs, and starts its command.
   * @throws {HttpError} 409 when the run is unwanted, 400 for a mount that is impossible
   * @throws {LaunchError} when the command cannot be executed
   * @throws {Error} when the process cannot be spawned
   */
  static async start(options: ContainerRunOptions): Promise<ContainerRun> {
    const { containerId, spec, homeDir, isUnwanted } = options;
    const unwanted = () => new HttpError(409, "container is marked for removal and cannot be started");
    try {
      await Deno.mkdir(homeDir, { recursive: true, mode: 0o700 });
      await checkSources(spec.mounts, { make: true });
      const plan = await planLaunch(commandOf(spec), { containerId, spec, homeDir });
      if (isUnwanted()) throw unwanted();
      const run = await ContainerRun.#spawn(plan, options);
      if (!isUnwanted()) return run;
      run.signal(SIGKILL);
      await run.ended;
      throw unwanted();
    } catch (error) {
      throw isUnwanted() ? unwanted() : error; // Why an unwanted start failed is of no interest.
    }
  }

  static async #spawn(
    plan: LaunchPlan,
    options: ContainerRunOptions,
  ): Promise<ContainerRun> {
    const { spec, streams, size } = options;
    const waitForWrite = writesOf(options);
    streams.beginRun();
    try {
      const process = await spawnProcess(plan, {
        onOutput: (stream, chunk) => waitForWrite(streams.output(stream, chunk)),
        stdin: spec.openStdin,
        terminal: spec.tty ? size : undefined,
      });
      return new ContainerRun({ process, waitForWrite }, options);
    } catch (error) {
      await waitForWrite(streams.endRun());
      throw error;
    }
  }

  private constructor(
    { process, waitForWrite }: { process: ContainerProcess; waitForWrite: WaitForWrite },
    options: ContainerRunOptions,
  ) {
    this.#options = options;
    this.#process = process;
    this.#waitForWrite = waitForWrite;
    const { spec, containerId, homeDir, streams, execs } = options;
    streams.provideInput(process.input);
    execs.open();
    this.health = spec.health && new HealthCheck({
      ...options,
      spec: spec.health,
      spawn: async (command, probeOptions) =>
        await spawnProcess(await planLaunch(command, { containerId, spec, homeDir }), probeOptions),
    });
    this.ended = this.#supervise();
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** @returns false for a signal that cannot be sent */
  signal(number: number): boolean {
    return this.#process.signal(number);
  }

  /** @returns false when the size could not be set */
  async resize(size: ConsoleSize): Promise<boolean> {
    return await this.#process.resize(size);
  }

  pause(): void {
    this.#process.signal(SIGSTOP);
    this.#options.execs.signal(SIGSTOP);
    this.health?.pause();
  }

  resume(): void {
    this.#process.signal(SIGCONT);
    this.#options.execs.signal(SIGCONT);
    this.health?.resume();
  }

  async #supervise(): Promise<number> {
    const { dir, streams, execs } = this.#options;
    const processFile = join(dir, PROCESS_FILE);
    await this.#waitForWrite(rememberProcess(processFile, this.#process.pid));
    await this.#process.mainExited;
    await execs.close();
    const { exitCode } = await this.#process.exited;
    await this.#waitForWrite(streams.endRun());
    await this.health?.[Symbol.asyncDispose]();
    await this.#waitForWrite(forgetProcess(processFile));
    return exitCode;
  }
}

/** What cannot be written (the disk is full) is lost: the first loss is logged, and the container keeps running. */
function writesOf({ logger, containerId }: ContainerRunOptions): WaitForWrite {
  let hasFailed = false;
  return async (written) => {
    try {
      await written;
    } catch (error) {
      if (!hasFailed) logger.warn(`embedded engine: lost output of ${containerId}: ${messageOf(error)}`);
      hasFailed = true;
    }
  };
}

export type ExitCondition = "not-running" | "next-exit" | "removed";

export const EXIT_CONDITIONS: readonly ExitCondition[] = ["not-running", "next-exit", "removed"];

export interface WaitResult {
  readonly exitCode: number;
  /** Why the last start failed. */
  readonly error?: string;
}

/** The clients that wait for the end of a container's run (`POST /containers/{id}/wait`). */
export class ExitWaiters {
  readonly #waiters = new Set<{ readonly condition: ExitCondition; readonly end: Latch<WaitResult> }>();

  /** @throws the reason of `abort` when it aborts: the client disconnected */
  async wait(condition: ExitCondition, abort: AbortSignal): Promise<WaitResult> {
    const waiter = { condition, end: new Latch<WaitResult>() };
    this.#waiters.add(waiter);
    try {
      return await waiter.end.until(abort);
    } finally {
      this.#waiters.delete(waiter);
    }
  }

  /** The process exited; `runsAgain` when the restart policy starts it again. */
  exited(result: WaitResult, { runsAgain }: { runsAgain: boolean }): void {
    for (const { condition, end } of this.#waiters) {
      if (condition === "next-exit" || (condition === "not-running" && !runsAgain)) end.open(result);
    }
  }

  removed(result: WaitResult): void {
    for (const { end } of this.#waiters) end.open(result);
  }
}
