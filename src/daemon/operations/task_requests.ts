/** The operations `tasks.*`. */
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { ApexOrchestrator } from "../../orchestrator/apex_orchestrator.ts";
import type { Task, TaskHandle, TaskSpec } from "../../orchestrator/task.ts";
import type { TaskInput } from "../../orchestrator/task_input.ts";
import type { Clock } from "../../platform/clock.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { Logger } from "../../platform/logger.ts";
import type {
  ControlReply,
  ControlRequestOf,
  OutputPosition,
  TaskResult,
  TaskSpecRequest,
} from "../../protocol/control.ts";
import { encodeJsonFrame, type Frame } from "../../protocol/frames.ts";
import { type ControlChannel, DaemonEndingError } from "../control_socket/control_channel.ts";
import type { StreamReply } from "../control_socket/control_server.ts";
import { PullProgressFrames } from "./pull_progress_frames.ts";
import type { Targets } from "./targets.ts";
import { TaskStream } from "./task_stream.ts";
import { taskResult } from "./wire_results.ts";

export interface TaskRequestsOptions {
  readonly orchestrator: ApexOrchestrator;
  readonly containers: ContainerManager;
  readonly targets: Targets;
  /** For tasks that name none. */
  readonly defaultImage: string;
  /** The daemon's, as `--engine` takes it. */
  readonly engineChoice: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class TaskRequests {
  readonly #options: TaskRequestsOptions;

  constructor(options: TaskRequestsOptions) {
    this.#options = options;
  }

  /**
   * The task continues whatever becomes of the client. Its container is left until the client has received its output.
   *
   * @throws {ApexError} `usage`, `conflict`
   */
  run({ task, requestId }: ControlRequestOf<"tasks.run">): StreamReply {
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
      ok: true,
      result: { taskId: handle.taskId, engine: engineChoice },
      stream: (channel) => {
        const carrying = task.stdin ? carryInput(channel.frames(), input.promise) : undefined;
        return this.#stream(channel, {
          handle,
          progress,
          taken: outputTaken.resolve,
          ...(carrying && { carrying }),
        });
      },
    };
  }

  list({ all = false }: ControlRequestOf<"tasks.list">): ControlReply {
    return { ok: true, result: { tasks: this.results({ all }) } };
  }

  /** What {@linkcode TaskRequests.list} tells, as it is now. */
  results(options: { readonly all: boolean }): TaskResult[] {
    return this.#options.orchestrator.listTasks(options).map(taskResult);
  }

  /**
   * Resolves when it has ended.
   *
   * @throws {ApexError} `not_found`; `conflict` when it had ended before, or is not apex's to end
   */
  async cancel({ task }: ControlRequestOf<"tasks.cancel">): Promise<ControlReply> {
    this.#options.targets.refuseUnmanaged(task, "cancel");
    return { ok: true, result: { task: taskResult(await this.#options.orchestrator.cancelTask(task)) } };
  }

  /** @throws {ApexError} `not_found`, `conflict`, `usage` */
  async signal({ task, signal }: ControlRequestOf<"tasks.signal">): Promise<ControlReply> {
    await this.#options.orchestrator.signalTask(task, signal);
    return { ok: true, result: {} };
  }

  /** @throws {ApexError} `not_found` */
  wait({ task: taskId, requestId, output }: ControlRequestOf<"tasks.wait">): StreamReply {
    const { orchestrator, clock } = this.#options;
    const which = requestId === undefined ? {} : { requestId };
    if (output === undefined) {
      orchestrator.followTask(taskId, which);
      return {
        ok: true,
        result: { taskId },
        async stream(channel) {
          const task: Task = await orchestrator.waitTask(taskId, channel.signal);
          await channel.send(encodeJsonFrame("exit", { task: taskResult(task) }));
        },
      };
    }
    const outputTaken = Promise.withResolvers<void>();
    const handle = orchestrator.followTask(taskId, { ...which, holdCleanup: outputTaken.promise });
    const progress = new PullProgressFrames(clock);
    return {
      ok: true,
      result: { taskId },
      stream: (channel) =>
        this.#stream(channel, { handle, progress, received: output, taken: outputTaken.resolve }),
    };
  }

  async #stream(
    channel: ControlChannel,
    { handle, progress, received, taken, carrying }: {
      readonly handle: TaskHandle;
      readonly progress: PullProgressFrames;
      readonly received?: OutputPosition;
      readonly taken: () => void;
      /** Its input. */
      readonly carrying?: Promise<void>;
    },
  ): Promise<void> {
    const stream = new TaskStream({
      ...this.#options,
      handle,
      progress,
      channel,
      ...(received && { received }),
    });
    try {
      await Promise.race([stream.untilOutputTaken(), ...(carrying ? [failureOf(carrying)] : [])]);
    } finally {
      // When the daemon ends, its client has not left: the next daemon leaves the container to it.
      if (!(channel.signal.reason instanceof DaemonEndingError)) taken();
      progress[Symbol.dispose]();
    }
    await stream.sendEnd();
  }
}

/** Rejects when the work does, and never resolves. */
function failureOf(work: Promise<void>): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  work.catch(reject);
  return promise;
}

function taskSpec({ mounts, ports, ...task }: TaskSpecRequest, defaultImage: string): TaskSpec {
  return {
    ...definedFields(task),
    image: task.image ?? defaultImage,
    ...(mounts && { mounts: mounts.map((mount) => definedFields(mount)) }),
    ...(ports &&
      { ports: ports.map(({ protocol = "tcp", ...port }) => ({ ...definedFields(port), protocol })) }),
  };
}

/**
 * Carries what a client sends to its task's standard input: one frame after the other, so that a command that does not
 * read holds its client up, and 64 KiB are here at most. Reads on to the client's end, so that its going is noticed; that,
 * too, ends the standard input.
 *
 * @param input resolves right before the task starts; with undefined when it never does
 * @throws {FrameError} for bytes that are no frame; the standard input has been ended
 */
export async function carryInput(
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
