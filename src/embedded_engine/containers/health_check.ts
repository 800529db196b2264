/**
 * The health check of one run of a container: waits an interval, runs the probe, applies the result, and repeats until it is
 * disposed. Owns the timer and the probe's process. Docker's rules apply: a container is healthy after the first success,
 * and unhealthy after `retries` failures in a row, without the failures within the start period. Each change has one event,
 * but `starting` has none. Each probe also publishes `exec_create`, `exec_start` and `exec_die`.
 */
import { concat } from "@std/bytes/concat";
import { messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import { exitCodeOfSignal, SIGKILL } from "../../platform/signals.ts";
import type { ContainerProcess, ProcessOptions } from "../processes/container_process.ts";
import type { HealthSpec } from "../spec/create_request.ts";
import { randomId } from "../spec/names.ts";
import { shownCommand } from "./embedded_exec.ts";

/** As much of a probe's output as Docker keeps. */
const MAX_OUTPUT_BYTES = 4_096;
/** As many results as Docker keeps. */
const MAX_LOG_ENTRIES = 5;
/** The exit code in the result of a probe that timed out, or could not run. */
const TIMED_OUT = -1;

export type ContainerHealthStatus = "starting" | "healthy" | "unhealthy";

export interface ProbeResult {
  readonly startNano: bigint;
  readonly endNano: bigint;
  /** -1 when the probe timed out, or could not run. */
  readonly exitCode: number;
  readonly output: string;
}

export interface HealthCheckOptions {
  readonly spec: HealthSpec;
  readonly clock: Clock;
  readonly nextTime: () => bigint;
  /** Starts the probe's command in the container. */
  readonly spawn: (command: readonly string[], options: ProcessOptions) => Promise<ContainerProcess>;
  readonly publish: (action: string, attributes?: Readonly<Record<string, string>>) => void;
}

export class HealthCheck implements AsyncDisposable {
  readonly #options: HealthCheckOptions;
  readonly #command: readonly string[];
  readonly #startedMs: number;
  #status: ContainerHealthStatus = "starting";
  #failingStreak = 0;
  #log: ProbeResult[] = [];
  #cancelTimer: () => void = () => {};
  #probe: ContainerProcess | undefined;
  #probing: Promise<void> = Promise.resolve();
  #stopped = false;
  #paused = false;

  constructor(options: HealthCheckOptions) {
    this.#options = options;
    const [kind, ...words] = options.spec.test;
    this.#command = kind === "CMD-SHELL" ? ["/bin/sh", "-c", ...words] : words;
    this.#startedMs = options.clock.now();
    this.#schedule();
  }

  get status(): ContainerHealthStatus {
    return this.#status;
  }

  get failingStreak(): number {
    return this.#failingStreak;
  }

  /** The newest results, oldest first. */
  get log(): readonly ProbeResult[] {
    return this.#log;
  }

  /** No probes while the container is paused. */
  pause(): void {
    this.#paused = true;
    this.#cancelTimer();
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  /** Ends probing, and kills a running probe. As in Docker, the health of a container that exited is `unhealthy`. */
  stop(): void {
    this.#stopped = true;
    this.#status = "unhealthy";
    this.#cancelTimer();
    this.#probe?.signal(SIGKILL);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#stopped) this.stop();
    await this.#probing;
  }

  #schedule(): void {
    if (this.#stopped || this.#paused) return;
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(this.#options.spec.intervalMs, () => {
      this.#probing = this.#run();
    });
  }

  async #run(): Promise<void> {
    const { publish, nextTime } = this.#options;
    const execID = randomId();
    const shown = shownCommand(this.#command);
    publish(`exec_create: ${shown}`, { execID });
    publish(`exec_start: ${shown}`, { execID });
    const startNano = nextTime();
    const { exitCode, output } = await this.#runProbe();
    if (this.#stopped) return;
    // As in Docker, the event of a probe that timed out has the exit code of a kill, and its result has -1.
    publish("exec_die", {
      execID,
      exitCode: String(exitCode === TIMED_OUT ? exitCodeOfSignal("SIGKILL") : exitCode),
    });
    this.#apply({ startNano, endNano: nextTime(), exitCode, output });
    this.#schedule();
  }

  async #runProbe(): Promise<{ exitCode: number; output: string }> {
    const { spawn, clock, spec } = this.#options;
    const output: Uint8Array[] = [];
    let outputBytes = 0;
    let timedOut = false;
    let probe: ContainerProcess;
    try {
      probe = await spawn(this.#command, {
        onOutput: (_, chunk) => {
          output.push(chunk.subarray(0, MAX_OUTPUT_BYTES - outputBytes));
          outputBytes = Math.min(MAX_OUTPUT_BYTES, outputBytes + chunk.length);
        },
      });
    } catch (error) {
      return { exitCode: TIMED_OUT, output: messageOf(error) }; // As in Docker, a probe that cannot run counts as a failure.
    }
    this.#probe = probe;
    if (this.#stopped) probe.signal(SIGKILL);
    const cancelTimeout = clock.after(spec.timeoutMs, () => {
      timedOut = true;
      probe.signal(SIGKILL);
    });
    const { exitCode } = await probe.exited;
    cancelTimeout();
    this.#probe = undefined;
    if (timedOut) {
      return { exitCode: TIMED_OUT, output: `Health check exceeded timeout (${spec.timeoutMs}ms)` };
    }
    return { exitCode, output: new TextDecoder().decode(concat(output)) };
  }

  /** Applies a result, and publishes an event if the health has changed. */
  #apply(result: ProbeResult): void {
    const { spec, clock, publish } = this.#options;
    this.#log = [...this.#log, result].slice(-MAX_LOG_ENTRIES);
    const before = this.#status;
    if (result.exitCode === 0) {
      this.#failingStreak = 0;
      this.#status = "healthy";
    } else if (before !== "starting" || clock.now() - this.#startedMs >= spec.startPeriodMs) {
      this.#failingStreak++;
      if (this.#failingStreak >= spec.retries) this.#status = "unhealthy";
    }
    if (this.#status !== before) publish(`health_status: ${this.#status}`);
  }
}
