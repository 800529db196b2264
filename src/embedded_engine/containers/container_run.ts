/**
 * One run of a container, from its process's start to its end: owns the process, hands its output on, and probes its
 * health. Knows no states and publishes nothing but the probes' events; the container decides what an end means.
 */
import { messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { SIGCONT, SIGSTOP } from "../../platform/signals.ts";
import { type ContainerProcess, spawnProcess } from "../processes/container_process.ts";
import { type LaunchPlan, planLaunch } from "../processes/launch_plan.ts";
import { forgetProcess, rememberProcess } from "../processes/process_file.ts";
import type { ContainerSpec } from "../spec/create_request.ts";
import type { TerminalSize } from "../terminals/terminal_size.ts";
import type { ContainerExecs } from "./container_execs.ts";
import type { ContainerStreams } from "./container_streams.ts";
import { HealthCheck, type HealthCheckOptions } from "./health_check.ts";

export interface ContainerRunOptions {
  readonly containerId: string;
  readonly spec: ContainerSpec;
  readonly homeDir: string;
  readonly streams: ContainerStreams;
  /** Opened and closed with the run. */
  readonly execs: ContainerExecs;
  /** Of its terminal at first, if it has one. */
  readonly size: TerminalSize;
  readonly clock: Clock;
  readonly nextTime: () => bigint;
  readonly publish: HealthCheckOptions["publish"];
  readonly logger: Logger;
  /** Where the process is remembered while it runs, for the engine that comes after a crash. */
  readonly processFile: string;
}

export class ContainerRun {
  /** Exit code, once the process is gone, all output is in the log, and probing has ended. Never rejects. */
  readonly ended: Promise<number>;
  readonly health: HealthCheck | undefined;
  readonly #options: ContainerRunOptions;
  readonly #process: ContainerProcess;
  readonly #disk: DiskWriter;

  /** @throws {LaunchError} when the program cannot be executed; else what spawning throws */
  static async start(plan: LaunchPlan, options: ContainerRunOptions): Promise<ContainerRun> {
    const { spec, streams, size } = options;
    const disk = new DiskWriter(options);
    streams.beginRun();
    try {
      const process = await spawnProcess(plan, {
        onOutput: (stream, chunk) => disk.try(streams.output(stream, chunk)),
        stdin: spec.openStdin,
        terminal: spec.tty ? size : undefined,
      });
      return new ContainerRun({ process, disk }, options);
    } catch (error) {
      await disk.try(streams.endRun());
      throw error;
    }
  }

  private constructor(
    { process, disk }: { process: ContainerProcess; disk: DiskWriter },
    options: ContainerRunOptions,
  ) {
    this.#options = options;
    this.#process = process;
    this.#disk = disk;
    const { spec, clock, nextTime, publish, containerId, homeDir, streams, execs } = options;
    streams.provideInput(process.input);
    execs.open();
    this.health = spec.health && new HealthCheck({
      spec: spec.health,
      clock,
      nextTime,
      publish,
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
  async resize(size: TerminalSize): Promise<boolean> {
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
    const { processFile, streams, execs } = this.#options;
    await this.#disk.try(rememberProcess(processFile, this.#process.pid));
    await this.#process.mainExited;
    await execs.close();
    const { exitCode } = await this.#process.exited;
    await this.#disk.try(streams.endRun());
    await this.health?.[Symbol.asyncDispose]();
    await this.#disk.try(forgetProcess(processFile));
    return exitCode;
  }
}

/** What the disk does not take (it is full) is lost, and said once; the container goes on. */
class DiskWriter {
  readonly #options: Pick<ContainerRunOptions, "logger" | "containerId">;
  #hasFailed = false;

  constructor(options: Pick<ContainerRunOptions, "logger" | "containerId">) {
    this.#options = options;
  }

  async try(written: Promise<void>): Promise<void> {
    try {
      await written;
    } catch (error) {
      const { logger, containerId } = this.#options;
      if (!this.#hasFailed) {
        logger.warn(`embedded engine: lost output of ${containerId}: ${messageOf(error)}`);
      }
      this.#hasFailed = true;
    }
  }
}
