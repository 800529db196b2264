/**
 * One run of a container, from its process's start to its end: owns the process group, carries its output to the log,
 * and probes its health. Knows no states and publishes nothing but the probes' events; the container decides what an
 * end means.
 */
import type { Clock } from "../../platform/clock.ts";
import { messageOf } from "../../platform/apex_error.ts";
import type { Logger } from "../../platform/logger.ts";
import type { ContainerLog } from "./container_log.ts";
import type { ContainerSpec } from "./create_request.ts";
import { HealthCheck, type HealthCheckOptions } from "./health_check.ts";
import { type LaunchPlan, planLaunch } from "./launch_plan.ts";
import { type OutputStream, type ProcessGroup, spawnProcessGroup } from "./process_group.ts";
import { forgetProcess, rememberProcess } from "./process_file.ts";
import { parseSignal } from "./signals.ts";

export interface ContainerRunOptions {
  readonly containerId: string;
  readonly spec: ContainerSpec;
  readonly homeDir: string;
  readonly log: ContainerLog;
  readonly clock: Clock;
  readonly nextTime: () => bigint;
  readonly publish: HealthCheckOptions["publish"];
  readonly logger: Logger;
  /** Where the process is remembered while it runs, for the engine that comes after a crash. */
  readonly processFile: string;
}

export class ContainerRun {
  /** Exit code, once the group is gone, all output is in the log, and probing has ended. Never rejects. */
  readonly ended: Promise<number>;
  readonly health: HealthCheck | undefined;
  readonly #options: ContainerRunOptions;
  readonly #process: ProcessGroup;
  #diskFailed = false;

  /** @throws {LaunchError} when the program cannot be executed; else what spawning throws */
  constructor(plan: LaunchPlan, options: ContainerRunOptions) {
    this.#options = options;
    const { spec, clock, nextTime, publish, containerId, homeDir, log } = options;
    this.#process = spawnProcessGroup(plan, { onOutput: (stream, chunk) => this.#keep(stream, chunk) });
    log.beginRun();
    this.health = spec.health && new HealthCheck({
      spec: spec.health,
      clock,
      nextTime,
      publish,
      spawn: async (command, spawnOptions) =>
        spawnProcessGroup(await planLaunch(command, { containerId, spec, homeDir }), spawnOptions),
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

  pause(): void {
    this.#process.signal(parseSignal("STOP")!);
    this.health?.pause();
  }

  resume(): void {
    this.#process.signal(parseSignal("CONT")!);
    this.health?.resume();
  }

  async #supervise(): Promise<number> {
    const { processFile, log } = this.#options;
    await this.#guarded(rememberProcess(processFile, this.#process.pid));
    const { exitCode } = await this.#process.exited;
    await this.#guarded(log.endRun());
    await this.health?.[Symbol.asyncDispose]();
    await this.#guarded(forgetProcess(processFile));
    return exitCode;
  }

  async #keep(stream: OutputStream, chunk: Uint8Array): Promise<void> {
    await this.#guarded(this.#options.log.append(stream, chunk));
  }

  /** What the disk does not take (it is full) is lost, and said once; the container goes on. */
  async #guarded(written: Promise<void>): Promise<void> {
    try {
      await written;
    } catch (error) {
      const { logger, containerId } = this.#options;
      if (!this.#diskFailed) {
        logger.warn(`embedded engine: lost output of ${containerId}: ${messageOf(error)}`);
      }
      this.#diskFailed = true;
    }
  }
}
