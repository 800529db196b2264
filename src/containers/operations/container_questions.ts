/** What apex asks about one container. Questions change nothing. One that fails rejects, and emits nothing. */
import { type AttachConnection, attachContainer } from "../../engine/attach_connection.ts";
import { askContainerStats, type ContainerStats } from "../../engine/container_stats.ts";
import type { EngineClient } from "../../engine/engine_client.ts";
import type { ContainerInspect } from "../../engine/engine_types.ts";
import {
  findLogStart,
  type LogsOptions,
  type LogStartOptions,
  readContainerLogs,
} from "../../engine/logs/container_logs.ts";
import type { LogChunk } from "../../engine/logs/log_frames.ts";
import { type LogTail, type LogTailOptions, readLogTail } from "../../engine/logs/log_tail.ts";
import type { Clock } from "../../platform/clock.ts";
import { type ContainerTargets, engineNameOf } from "./container_targets.ts";
import { describe, withContext } from "./operation_failure.ts";

export interface WaitOptions {
  /** Ends the wait. */
  readonly abort?: AbortSignal | undefined;
}

/** The engine's whole description. The parts that apex reads are typed. */
export type InspectedContainer = Record<string, unknown> & ContainerInspect;

export class ContainerQuestions {
  readonly #client: EngineClient;
  readonly #targets: ContainerTargets;
  readonly #clock: Clock;

  constructor(options: { client: EngineClient; targets: ContainerTargets; clock: Clock }) {
    this.#client = options.client;
    this.#targets = options.targets;
    this.#clock = options.clock;
  }

  async inspect(target: string, abort?: AbortSignal): Promise<InspectedContainer> {
    const inspect = await this.#ask("inspect", target, (id) => this.#client.inspectContainer(id, abort));
    return { ...inspect };
  }

  async stats(target: string, abort?: AbortSignal): Promise<ContainerStats> {
    const verb = "read the statistics of";
    return await this.#ask(verb, target, (id) => askContainerStats(this.#client, id, abort));
  }

  async wait(target: string, { abort }: WaitOptions = {}): Promise<{ exitCode: number }> {
    return await this.#ask("wait for", target, async (id) => {
      const { StatusCode }: { StatusCode: number } = await this.#client.requestJson(
        "POST",
        `/containers/${encodeURIComponent(id)}/wait`,
        { timeoutMs: 0, abort },
      );
      return { exitCode: StatusCode };
    });
  }

  /** Connects to a container's standard input, without its output. Possible before the container's start. */
  async openInput(target: string, abort?: AbortSignal): Promise<AttachConnection> {
    return await this.#ask("attach to the input of", target, async (id) => {
      const { apiVersion } = await this.#client.identify(abort);
      const { socketPath } = this.#client;
      const options = { socketPath, apiVersion, id, stdin: true, output: false };
      return await attachContainer({ ...options, abort, clock: this.#clock });
    });
  }

  async *logs(target: string, options: LogsOptions = {}): AsyncGenerator<LogChunk, void, undefined> {
    const subject = this.#targets.subjectOf(target);
    const request = { ...options, id: engineNameOf(subject), clock: this.#clock };
    try {
      yield* readContainerLogs(this.#client, request);
    } catch (error) {
      throw withContext(`read the output of ${describe(subject)}`, error);
    }
  }

  async logStart(target: string, options: LogStartOptions): Promise<string | undefined> {
    return await this.#ask("find the last lines of the output of", target, (id) => {
      return findLogStart(this.#client, { ...options, id, clock: this.#clock });
    });
  }

  async logTail(target: string, options: LogTailOptions): Promise<LogTail> {
    return await this.#ask("read the end of the output of", target, (id) => {
      return readLogTail(this.#client, { ...options, id, clock: this.#clock });
    });
  }

  async #ask<T>(verb: string, target: string, ask: (id: string) => Promise<T>): Promise<T> {
    const subject = this.#targets.subjectOf(target);
    try {
      return await ask(engineNameOf(subject));
    } catch (error) {
      throw withContext(`${verb} ${describe(subject)}`, error);
    }
  }
}
