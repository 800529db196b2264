/** The operations `tasks.*`. */
import type { ContainerManager } from "../containers/container_manager.ts";
import type { ApexOrchestrator } from "../orchestrator/apex_orchestrator.ts";
import type { Task, TaskSpec } from "../orchestrator/task.ts";
import type { TaskInput } from "../orchestrator/task_input.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import { definedFields } from "../platform/defined_fields.ts";
import type { Logger } from "../platform/logger.ts";
import type { ControlReply, ControlRequestOf, TaskResult, TaskSpecRequest } from "../protocol/control.ts";
import { encodeJsonFrame } from "../protocol/frames.ts";
import { carryInput } from "./carry_input.ts";
import type { StreamReply } from "./control_server.ts";
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
  readonly clock: Clock;
  readonly logger: Logger;
}

export class TaskRequests {
  readonly #options: TaskRequestsOptions;

  constructor(options: TaskRequestsOptions) {
    this.#options = options;
  }

  /**
   * The task goes on whatever becomes of the client. Its container is kept until the client has what it put out.
   *
   * @throws {ApexError} `usage`, `conflict`
   */
  run({ task }: ControlRequestOf<"tasks.run">): StreamReply {
    const { orchestrator, defaultImage, clock } = this.#options;
    const progress = new PullProgressFrames(clock);
    const outputTaken = Promise.withResolvers<void>();
    const input = Promise.withResolvers<TaskInput | undefined>();
    const handle = orchestrator.runTask(taskSpec(task, defaultImage), {
      onPullProgress: progress.add,
      holdCleanup: outputTaken.promise,
      ...(task.stdin && { onInput: input.resolve }),
    });
    void handle.ended.then(() => input.resolve(undefined));
    return {
      ok: true,
      result: { taskId: handle.taskId },
      stream: async (channel) => {
        const carrying = task.stdin ? carryInput(channel.frames(), input.promise) : undefined;
        const stream = new TaskStream({ ...this.#options, handle, progress, channel });
        try {
          await Promise.race([stream.untilOutputTaken(), ...(carrying ? [failureOf(carrying)] : [])]);
        } finally {
          outputTaken.resolve();
          progress[Symbol.dispose]();
        }
        await stream.sendEnd();
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
  wait({ task: taskId }: ControlRequestOf<"tasks.wait">): StreamReply {
    const { orchestrator } = this.#options;
    if (orchestrator.getTask(taskId) === undefined) throw noSuchTask(taskId);
    return {
      ok: true,
      result: { taskId },
      async stream(channel) {
        const task: Task = await orchestrator.waitTask(taskId, channel.signal);
        await channel.send(encodeJsonFrame("exit", { task: taskResult(task) }));
      },
    };
  }
}

function noSuchTask(taskId: string): ApexError {
  return new ApexError("not_found", `no such task: ${JSON.stringify(taskId)} (try: apex tasks --all)`);
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
