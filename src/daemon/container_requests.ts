/** The operations `containers.*`. */
import type { ContainerManager } from "../containers/container_manager.ts";
import type { Task } from "../orchestrator/task.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import type { ContainersListResult, ControlReply, ControlRequestOf } from "../protocol/control.ts";
import { encodeJsonFrame } from "../protocol/frames.ts";
import type { StreamReply } from "./control_server.ts";
import type { EngineStatus } from "./engine_status.ts";
import { sendOutput } from "./output_frames.ts";
import { type SnapshotContainer, snapshotContainer } from "./snapshot_state.ts";
import type { Targets } from "./targets.ts";
import { containerResult, taskResult } from "./wire_results.ts";

export interface ContainerRequestsOptions {
  readonly containers: ContainerManager;
  readonly targets: Targets;
  readonly engine: EngineStatus;
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
   * Of a task whose container is gone, what is left: the task.
   *
   * @throws {ApexError} `not_found`; `conflict` for an ambiguous id; the engine's reason
   */
  async inspect(
    { target }: ControlRequestOf<"containers.inspect">,
    signal: AbortSignal,
  ): Promise<ControlReply> {
    const { container, task, name, others } = this.#options.targets.find(target);
    const result = {
      target: name,
      engine: container === undefined ? {} : await this.#options.containers.inspect(container.id, signal),
      ...(container && { container: containerResult(container) }),
      ...(task && { task: taskResult(task) }),
      ...(others.length > 0 && { others }),
    };
    return { ok: true, result };
  }

  /** @throws {ApexError} `not_found`; `conflict` for an ambiguous id */
  logs({ target, follow, tail, sinceMs, timestamps }: ControlRequestOf<"containers.logs">): StreamReply {
    const { container, task, name, others } = this.#options.targets.find(target);
    if (container === undefined) throw noContainer(task);
    const { containers } = this.#options;
    return {
      ok: true,
      result: { target: name, ...(others.length > 0 && { others }) },
      async stream(channel) {
        const chunks = containers.logs(container.id, {
          ...(follow !== undefined && { follow }),
          ...(tail !== undefined && { tail }),
          ...(sinceMs !== undefined && { sinceMs }),
          ...(timestamps !== undefined && { timestamps }),
          signal: channel.signal,
        });
        let failure: string | undefined;
        try {
          for await (const chunk of chunks) await sendOutput(channel, chunk);
        } catch (error) {
          channel.signal.throwIfAborted();
          failure = messageOf(error);
        }
        await channel.send(encodeJsonFrame("exit", failure === undefined ? {} : { error: failure }));
      },
    };
  }
}

function noContainer({ taskId, state, containerId }: Task): ApexError {
  if (containerId === undefined) {
    return new ApexError("not_found", `task ${JSON.stringify(taskId)} (${state}) has no container`);
  }
  const advice = `(run it with --keep to have it left)`;
  return new ApexError(
    "not_found",
    `the container of task ${JSON.stringify(taskId)} (${state}) has been removed ${advice}`,
  );
}
