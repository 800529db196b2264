/**
 * The frames that a client of `tasks.run`, or of `tasks.wait` with output, receives: `pending`?, `progress`*, `started`?, the
 * output, `exit`.
 */
import { abortable } from "@std/async/abortable";
import type { TaskHandle } from "../../orchestrator/task.ts";
import { encodeJsonFrame } from "../../protocol/frames.ts";
import type { OutputPosition } from "../../protocol/task_operations.ts";
import type { ControlChannel } from "../control_socket/control_channel.ts";
import type { OperationContext } from "./operation_context.ts";
import type { PullProgressFrames } from "./pull_progress_frames.ts";
import { TaskOutput } from "./task_output.ts";
import { taskResult } from "./wire_results.ts";

export interface TaskStreamOptions extends Pick<OperationContext, "containers" | "clock" | "logger"> {
  readonly handle: TaskHandle;
  readonly channel: ControlChannel;
  /** The output that the client has received already. */
  readonly received?: OutputPosition;
  readonly progress: PullProgressFrames;
}

export class TaskStream {
  readonly #options: TaskStreamOptions;
  #outputError: string | undefined;

  constructor(options: TaskStreamOptions) {
    this.#options = options;
  }

  /** Resolves when the client needs the task's container no longer. @throws if the client has hung up */
  async untilOutputTaken(): Promise<void> {
    const { handle, channel, progress, received, containers, clock, logger } = this.#options;
    if (handle.pendingAhead > 0) {
      await channel.send(encodeJsonFrame("pending", { ahead: handle.pendingAhead }));
    }
    progress.sendTo(channel);
    const { taskId, containerId, startedAt } = await abortable(handle.started, channel.abortSignal);
    await progress.finish();
    // The task ended before it started: there is no output.
    if (startedAt === undefined || containerId === undefined) return;
    await channel.send(encodeJsonFrame("started", { taskId, containerId }));
    if (handle.isOutputTaken && containers.find(containerId) === undefined) return;
    const { ended } = handle;
    const output = new TaskOutput({
      containers,
      containerId,
      ended,
      channel,
      clock,
      ...(received && { received }),
    });
    this.#outputError = await output.relay();
    if (this.#outputError !== undefined) {
      logger.warn(`some output of task ${taskId} may not have reached its client: ${this.#outputError}`);
    }
  }

  /** Waits for the end of the task and sends it; `outputError` is the reason why some of the output may be missing. */
  async sendEnd(): Promise<void> {
    const { handle, channel } = this.#options;
    const task = taskResult(await abortable(handle.ended, channel.abortSignal));
    const outputError = this.#outputError;
    await channel.send(encodeJsonFrame("exit", { task, ...(outputError !== undefined && { outputError }) }));
  }
}
