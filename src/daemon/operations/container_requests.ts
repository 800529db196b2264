/** The operations `containers.list`, `containers.inspect` and `containers.wait`. */
import { abortable } from "@std/async/abortable";
import type { Task } from "../../orchestrator/task.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { WaitCondition, WaitEnd } from "../../protocol/container_operations.ts";
import { encodeJsonFrame } from "../../protocol/frames.ts";
import type { ControlRequestOf } from "../../protocol/operations.ts";
import type { AnswerOf } from "../control_socket/answer.ts";
import type { ControlChannel } from "../control_socket/control_channel.ts";
import { ContainerEventRouter, untilContainerIs } from "./container_condition.ts";
import type { KeptTaskOutput } from "./kept_output.ts";
import type { OperationContext } from "./operation_context.ts";
import type { Target, Targets } from "./targets.ts";
import { containerResult, type SnapshotContainer, snapshotContainer, taskResult } from "./wire_results.ts";

type Context = Pick<OperationContext, "containers" | "orchestrator" | "engine" | "isHealthWatched">;
export type ContainerRequestsOptions = Context & { readonly targets: Targets; readonly kept: KeptTaskOutput };

type WaitRequest = ControlRequestOf<"containers.wait">;

export class ContainerRequests {
  readonly #options: ContainerRequestsOptions;
  readonly #events: ContainerEventRouter;

  constructor(options: ContainerRequestsOptions) {
    this.#options = options;
    this.#events = new ContainerEventRouter(options.orchestrator);
  }

  list(): AnswerOf<"containers.list"> {
    const { engine, containers } = this.#options;
    const state = engine.current.state === "connected" ? "connected" : "disconnected";
    return { result: { containers: containers.list().map(containerResult), engine: state } };
  }

  /** The containers as the events so far have reported them, for a snapshot. */
  snapshot(): SnapshotContainer[] {
    return this.#options.containers.list().map(snapshotContainer);
  }

  /**
   * For a task whose container was removed, the reply has the task and the size of its stored output.
   *
   * @throws {ApexError} `not_found`; `conflict` for an ambiguous id; the engine's error
   */
  async inspect(
    { target }: ControlRequestOf<"containers.inspect">,
    abort: AbortSignal,
  ): Promise<AnswerOf<"containers.inspect">> {
    const { targets, kept, containers } = this.#options;
    const { container, task, resolved } = targets.find(target);
    const output = container === undefined ? kept.facts(task) : undefined;
    const result = {
      ...resolved,
      engine: container === undefined ? {} : { ...await containers.inspect(container.id, abort) },
      ...(container && { container: containerResult(container) }),
      ...(task && { task: taskResult(task) }),
      ...(output && { output }),
    };
    return { result };
  }

  /** Whether a wait depends on a task alone, and not on a container. */
  isAboutTaskAlone({ target, for: condition = "exit" }: WaitRequest): boolean {
    return condition === "exit" && this.#options.targets.hasRun(target);
  }

  /** @throws {ApexError} `not_found`; `conflict` for an ambiguous id */
  wait({ target, for: condition = "exit" }: WaitRequest): AnswerOf<"containers.wait"> {
    const { task, container, resolved } = this.#find(target, condition);
    const containerId = container?.id;
    return {
      result: { ...resolved, ...(containerId !== undefined && { containerId }) },
      stream: async (channel) => {
        const end = task === undefined
          ? await this.#untilContainerIs(condition, { containerId, channel })
          : await this.#untilTaskIs(condition, { task, channel });
        await channel.send(encodeJsonFrame("exit", end));
      },
    };
  }

  /** A container that was removed recently can still be waited for, if its removal or its exit is the condition. */
  #find(target: string, condition: WaitCondition): Pick<Target, "task" | "container" | "resolved"> {
    const { targets, containers } = this.#options;
    try {
      return targets.find(target);
    } catch (error) {
      if (!(error instanceof ApexError && error.code === "not_found")) throw error;
      const isMetByRemoval = condition === "removed" || condition === "exit";
      const removed = isMetByRemoval ? containers.latelyRemoved(target) : undefined;
      if (removed === undefined) throw error;
      return { container: removed, resolved: { target: removed.name } };
    }
  }

  async #untilTaskIs(
    condition: WaitCondition,
    { task, channel }: { readonly task: Task; readonly channel: ControlChannel },
  ): Promise<WaitEnd> {
    const { taskId, run } = task;
    const handle = this.#options.orchestrator.followTask(taskId, { run });
    if (condition === "exit") return { task: taskResult(await abortable(handle.ended, channel.abortSignal)) };
    const wasPending = handle.task.state === "pending";
    const { startedAt, containerId } = await abortable(handle.started, channel.abortSignal);
    const { state, endedAt } = handle.task;
    const error = `it has ended (${state})`;
    if (condition === "removed") {
      // Without a container id, the task never had a container, or the container was removed long ago.
      return containerId === undefined
        ? {}
        : await this.#untilContainerIs(condition, { containerId, channel });
    }
    if (condition === "running") {
      // A task that was pending has met the condition, even if it has ended since.
      return startedAt !== undefined && (wasPending || endedAt === undefined) ? {} : { error };
    }
    return endedAt !== undefined
      ? { error }
      : await this.#untilContainerIs(condition, { containerId, channel });
  }

  async #untilContainerIs(
    condition: WaitCondition,
    { containerId = "", channel }: {
      readonly containerId: string | undefined;
      readonly channel: ControlChannel;
    },
  ): Promise<WaitEnd> {
    const options = { ...this.#options, events: this.#events, abort: channel.abortSignal };
    return await untilContainerIs(condition, containerId, options);
  }
}
