/** The operations `tasks.*`. */
import type { TaskSpec } from "../../orchestrator/task.ts";
import type { TaskInput } from "../../orchestrator/task_input.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import { encodeJsonFrame, type Frame } from "../../protocol/frames.ts";
import type { ControlRequestOf } from "../../protocol/operations.ts";
import type { TaskResult, TaskSpecRequest } from "../../protocol/task_operations.ts";
import type { AnswerOf } from "../control_socket/answer.ts";
import { isDaemonEnding } from "../control_socket/control_channel.ts";
import type { OperationContext } from "./operation_context.ts";
import { PullProgressFrames } from "./pull_progress_frames.ts";
import type { Targets } from "./targets.ts";
import { TaskStream, type TaskStreamOptions } from "./task_stream.ts";
import { taskResult } from "./wire_results.ts";

type Context = Pick<
  OperationContext,
  "orchestrator" | "containers" | "defaultImage" | "engineChoice" | "clock" | "logger"
>;

export type TaskRequestsOptions = Context & { readonly targets: Targets };

export class TaskRequests {
  readonly #options: TaskRequestsOptions;

  constructor(options: TaskRequestsOptions) {
    this.#options = options;
  }

  /**
   * Runs a task, which continues when the client has hung up. Its container is kept until the client has received the output.
   *
   * @throws {ApexError} `usage`, `conflict`
   */
  run({ task, requestId }: ControlRequestOf<"tasks.run">): AnswerOf<"tasks.run"> {
    const { orchestrator, defaultImage, engineChoice, clock } = this.#options;
    const progress = new PullProgressFrames(clock);
    const outputTaken = Promise.withResolvers<void>();
    const input = Promise.withResolvers<TaskInput | undefined>();
    const handle = orchestrator.runTask(taskSpec(task, defaultImage), {
      onPullProgress: progress.add,
      holdCleanup: outputTaken.promise,
      ...(task.stdin && { onInput: input.resolve }),
      ...(requestId !== undefined && { requestId }),
    });
    void handle.ended.then(() => input.resolve(undefined));
    return {
      result: { taskId: handle.taskId, engine: engineChoice },
      stream: (channel) => {
        const carrying = task.stdin ? carryInput(channel.frames(), input.promise) : undefined;
        return this.#stream({ channel, handle, progress }, { taken: outputTaken.resolve, carrying });
      },
    };
  }

  /** The tasks that are known now: those that have not ended, or all. */
  results({ all = false }: { readonly all?: boolean | undefined }): TaskResult[] {
    return this.#options.orchestrator.listTasks({ all }).map(taskResult);
  }

  /**
   * Resolves when the task has ended.
   *
   * @throws {ApexError} `not_found`; `conflict` if the task had ended already, or the container does not belong to apex
   */
  async cancel({ task }: ControlRequestOf<"tasks.cancel">): Promise<AnswerOf<"tasks.cancel">> {
    this.#options.targets.refuseUnmanaged(task, "cancel");
    return { result: { task: taskResult(await this.#options.orchestrator.cancelTask(task)) } };
  }

  /** @throws {ApexError} `not_found`, `conflict`, `usage` */
  async signal({ task, signal }: ControlRequestOf<"tasks.signal">): Promise<AnswerOf<"tasks.signal">> {
    await this.#options.orchestrator.signalTask(task, signal);
    return { result: {} };
  }

  /** @throws {ApexError} `not_found` */
  wait({ task: taskId, requestId, output }: ControlRequestOf<"tasks.wait">): AnswerOf<"tasks.wait"> {
    const { orchestrator, clock } = this.#options;
    const which = requestId === undefined ? {} : { requestId };
    if (output === undefined) {
      orchestrator.followTask(taskId, which);
      return {
        result: { taskId },
        async stream(channel) {
          const task = await orchestrator.waitTask(taskId, channel.abortSignal);
          await channel.send(encodeJsonFrame("exit", { task: taskResult(task) }));
        },
      };
    }
    const outputTaken = Promise.withResolvers<void>();
    const handle = orchestrator.followTask(taskId, { ...which, holdCleanup: outputTaken.promise });
    const progress = new PullProgressFrames(clock);
    return {
      result: { taskId },
      stream: (channel) =>
        this.#stream({ channel, handle, progress, received: output }, { taken: outputTaken.resolve }),
    };
  }

  /** @param taken is called when the client needs the container no longer */
  async #stream(
    parts: Pick<TaskStreamOptions, "channel" | "handle" | "progress" | "received">,
    { taken, carrying }: { readonly taken: () => void; readonly carrying?: Promise<void> | undefined },
  ): Promise<void> {
    const stream = new TaskStream({ ...this.#options, ...parts });
    try {
      await Promise.race([stream.untilOutputTaken(), ...(carrying ? [failureOf(carrying)] : [])]);
    } finally {
      // When the daemon ends, its client has not hung up: the next daemon keeps the container for it.
      if (!isDaemonEnding(parts.channel)) taken();
      parts.progress[Symbol.dispose]();
    }
    await stream.sendEnd();
  }
}

/**
 * Carries the client's `data` frames to the standard input of its task, one after the other: a command that does not read
 * delays its client, and 64 KiB are in memory at most. Reads to the end of the client's input, to notice a hang-up, which
 * also ends the standard input.
 *
 * @param input resolves right before the task starts; with undefined if it never starts
 * @throws {FrameError} for an invalid frame; the standard input has been ended then
 */
async function carryInput(
  frames: AsyncIterable<Frame>,
  input: Promise<TaskInput | undefined>,
): Promise<void> {
  try {
    for await (const { kind, payload } of frames) {
      if (kind === "data") await (await input)?.write(payload);
      else if (kind === "eof") await (await input)?.end();
    }
  } finally {
    await (await input)?.end();
  }
}

/** Rejects if the work rejects, and never resolves. */
function failureOf(work: Promise<void>): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  work.catch(reject);
  return promise;
}

function taskSpec({ mounts, ports, ...task }: TaskSpecRequest, defaultImage: string): TaskSpec {
  return {
    ...definedFields(task),
    image: task.image ?? defaultImage,
    ...(mounts && { mounts: mounts.map(definedFields) }),
    ...(ports && { ports: ports.map(definedFields) }),
  };
}
