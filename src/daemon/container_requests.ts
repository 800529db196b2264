/** The operations `containers.*`. */
import type { ContainerManager } from "../containers/container_manager.ts";
import type { Task } from "../orchestrator/task.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import type {
  ContainersListResult,
  ControlReply,
  ControlRequestOf,
  KeptOutputFacts,
} from "../protocol/control.ts";
import { encodeJsonFrame } from "../protocol/frames.ts";
import type { StoredOutput, TaskOutputs } from "../storage/task_outputs.ts";
import type { ControlChannel } from "./control_channel.ts";
import type { StreamReply } from "./control_server.ts";
import type { EngineStatus } from "./engine_status.ts";
import { sendOutput } from "./output_frames.ts";
import { type SnapshotContainer, snapshotContainer } from "./snapshot_state.ts";
import { selectOutput } from "./kept_output.ts";
import type { Targets } from "./targets.ts";
import { containerResult, taskResult } from "./wire_results.ts";

export interface ContainerRequestsOptions {
  readonly containers: ContainerManager;
  readonly targets: Targets;
  readonly engine: EngineStatus;
  readonly outputs: Pick<TaskOutputs, "get">;
  /** Whether output is kept where apex removes a container. */
  readonly keepsOutput: boolean;
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
    const output = container === undefined ? this.#keptFacts(task) : undefined;
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

  /**
   * Of a task whose container was removed, what was kept of its output.
   *
   * @throws {ApexError} `not_found`; `conflict` for an ambiguous id
   */
  logs({ target, follow, ...options }: ControlRequestOf<"containers.logs">): StreamReply {
    const { containers, targets } = this.#options;
    const { container, task, name, others } = targets.find(target);
    const resolved = { target: name, ...(others.length > 0 && { others }) };
    if (container === undefined) {
      const { chunks, keptBytes: bytes, isCut } = selectOutput(this.#kept(task), options);
      const stream = async (channel: ControlChannel): Promise<void> => {
        for (const chunk of chunks) await sendOutput(channel, chunk);
        await channel.send(encodeJsonFrame("exit", {}));
      };
      return { ok: true, result: { ...resolved, kept: { bytes, isCut } }, stream };
    }
    const { tail, sinceMs, timestamps } = options;
    return {
      ok: true,
      result: resolved,
      stream: async (channel) => {
        const chunks = containers.logs(container.id, {
          ...(follow !== undefined && { follow }),
          ...(tail !== undefined && { tail }),
          ...(sinceMs !== undefined && { sinceMs }),
          ...(timestamps !== undefined && { timestamps }),
          signal: channel.signal,
        });
        let failure: string | undefined;
        let hasBegun = false;
        try {
          for await (const chunk of chunks) {
            hasBegun = true;
            await sendOutput(channel, chunk);
          }
        } catch (error) {
          channel.signal.throwIfAborted();
          const isGone = task !== undefined && error instanceof ApexError && error.code === "not_found";
          // Its removal is done, and not told yet.
          const kept = isGone && !hasBegun ? this.#options.outputs.get(task) : undefined;
          if (kept === undefined || kept.missing !== undefined) failure = messageOf(error);
          else for (const chunk of selectOutput(kept, options).chunks) await sendOutput(channel, chunk);
        }
        await channel.send(encodeJsonFrame("exit", failure === undefined ? {} : { error: failure }));
      },
    };
  }

  /** @throws {ApexError} `not_found` when nothing is kept */
  #kept(task: Task): StoredOutput {
    const output = this.#options.outputs.get(task);
    if (output !== undefined && output.missing === undefined) return output;
    const { taskId, run, state } = task;
    const why = output?.missing ?? this.#whyNothingIsKept(task);
    throw new ApexError("not_found", `there is no output of ${taskId}@${run} (${state}): ${why}`);
  }

  #whyNothingIsKept({ startedAt, endedAt }: Task): string {
    if (startedAt === undefined) return endedAt === undefined ? "it has not started yet" : "it never started";
    if (this.#options.keepsOutput) {
      return "its container was removed by another program, and only apex keeps the output";
    }
    return 'its container was removed, and the configuration has keep_output = "0" (--keep leaves a container)';
  }

  /** What `inspect` says of the output of a task whose container was removed. */
  #keptFacts(task: Task): KeptOutputFacts | undefined {
    const output = this.#options.outputs.get(task);
    if (output === undefined) return undefined;
    const { keptBytes: bytes, isCut } = selectOutput(output, {});
    return { bytes, isCut, ...(output.missing !== undefined && { missing: output.missing }) };
  }
}
