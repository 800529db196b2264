/** The operations `containers.list` and `containers.inspect`. */
import { abortable } from "@std/async/abortable";
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { ContainerRecord } from "../../containers/container_record.ts";
import type { ApexOrchestrator } from "../../orchestrator/apex_orchestrator.ts";
import type { Task } from "../../orchestrator/task.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { ContainersListResult, ControlReply, ControlRequestOf } from "../../protocol/control.ts";
import { encodeJsonFrame } from "../../protocol/frames.ts";
import type { WaitCondition } from "../../protocol/wait_condition.ts";
import { ContainerChanges, untilContainerIs, type WaitEnd } from "./container_condition.ts";
import type { ControlChannel } from "../control_socket/control_channel.ts";
import type { StreamReply } from "../control_socket/control_server.ts";
import type { EngineStatus } from "../engine_status.ts";
import type { KeptTaskOutput } from "./kept_output.ts";
import type { Targets } from "./targets.ts";
import { containerResult, type SnapshotContainer, snapshotContainer, taskResult } from "./wire_results.ts";

export interface ContainerRequestsOptions {
  readonly containers: ContainerManager;
  readonly targets: Targets;
  readonly engine: EngineStatus;
  readonly kept: KeptTaskOutput;
}

export class ContainerRequests {
  readonly #options: ContainerRequestsOptions;

  constructor(options: ContainerRequestsOptions) {
    this.#options = options;
  }

  list(): ControlReply {
    const { engine } = this.#options;
    const result: ContainersListResult = {
      containers: this.#options.containers.list().map(containerResult),
      engine: engine.current.state === "connected" ? "connected" : "disconnected",
    };
    return { ok: true, result };
  }

  /** What events have told of them by now, for a snapshot. */
  told(): SnapshotContainer[] {
    return this.#options.containers.list().map(snapshotContainer);
  }

  /**
   * Of a task whose container is gone, what is left: the task, and how much of its output is kept.
   *
   * @throws {ApexError} `not_found`; `conflict` for an ambiguous id; the engine's reason
   */
  async inspect(
    { target }: ControlRequestOf<"containers.inspect">,
    signal: AbortSignal,
  ): Promise<ControlReply> {
    const { container, task, name, others } = this.#options.targets.find(target);
    const output = container === undefined ? this.#options.kept.facts(task) : undefined;
    const result = {
      target: name,
      engine: container === undefined ? {} : await this.#options.containers.inspect(container.id, signal),
      ...(container && { container: containerResult(container) }),
      ...(task && { task: taskResult(task) }),
      ...(output && { output }),
      ...(others.length > 0 && { others }),
    };
    return { ok: true, result };
  }
}

/** The operation `containers.wait`: until a task or container has ended, runs, is healthy, unhealthy, or removed. */

export interface WaitRequestsOptions {
  readonly containers: ContainerManager;
  readonly orchestrator: Pick<ApexOrchestrator, "followTask" | "on">;
  readonly targets: Targets;
  readonly isHealthWatched: (containerId: string) => boolean;
}

type WaitRequest = ControlRequestOf<"containers.wait">;

export class WaitRequests {
  readonly #options: WaitRequestsOptions;
  readonly #changes: ContainerChanges;

  constructor(options: WaitRequestsOptions) {
    this.#options = options;
    this.#changes = new ContainerChanges(options.orchestrator);
  }

  /** Whether no container needs to be known for it. */
  isAboutTaskAlone({ target, for: condition = "exit" }: WaitRequest): boolean {
    return condition === "exit" && this.#options.targets.hasRun(target);
  }

  /** @throws {ApexError} `not_found`; `conflict` for an ambiguous id */
  wait({ target, for: condition = "exit" }: WaitRequest): StreamReply {
    const { name, task, container, others } = this.#find(target, condition);
    const containerId = container?.id;
    return {
      ok: true,
      result: {
        target: name,
        ...(containerId !== undefined && { containerId }),
        ...(others.length > 0 && { others }),
      },
      stream: async (channel) => {
        const end = task === undefined
          ? await this.#untilContainerIs(condition, { containerId, channel })
          : await this.#untilTaskIs(condition, { task, channel });
        await channel.send(encodeJsonFrame("exit", end));
      },
    };
  }

  #find(target: string, condition: WaitCondition): Found {
    const { targets, containers } = this.#options;
    try {
      return targets.find(target);
    } catch (error) {
      if (!(error instanceof ApexError && error.code === "not_found")) throw error;
      const canBeGone = condition === "removed" || condition === "exit";
      const removed = canBeGone ? containers.latelyRemoved(target) : undefined;
      if (removed === undefined) throw error;
      return { name: removed.name, container: removed, others: [] };
    }
  }

  async #untilTaskIs(condition: WaitCondition, { task, channel }: TaskWait): Promise<object> {
    const { taskId, run } = task;
    const handle = this.#options.orchestrator.followTask(taskId, { run });
    if (condition === "exit") return { task: taskResult(await abortable(handle.ended, channel.signal)) };
    const wasPending = handle.task.state === "pending";
    const { startedAt, containerId } = await abortable(handle.started, channel.signal);
    const { state, endedAt } = handle.task;
    const error = `it has ended (${state})`;
    if (condition === "removed") {
      // It never had a container, or that was removed so long ago that nothing is known of it.
      return containerId === undefined
        ? {}
        : await this.#untilContainerIs(condition, { containerId, channel });
    }
    // What was waited for has been, however soon it ended.
    if (condition === "running") {
      return startedAt !== undefined && (wasPending || endedAt === undefined) ? {} : { error };
    }
    return endedAt !== undefined
      ? { error }
      : await this.#untilContainerIs(condition, { containerId, channel });
  }

  async #untilContainerIs(
    condition: WaitCondition,
    { containerId = "", channel: { signal } }: ContainerWait,
  ): Promise<WaitEnd> {
    return await untilContainerIs(condition, containerId, {
      ...this.#options,
      changes: this.#changes,
      signal,
    });
  }
}

interface Found {
  readonly name: string;
  readonly task?: Task;
  readonly container: ContainerRecord | undefined;
  readonly others: readonly string[];
}

interface TaskWait {
  readonly task: Task;
  readonly channel: ControlChannel;
}

interface ContainerWait {
  readonly containerId: string | undefined;
  readonly channel: ControlChannel;
}
