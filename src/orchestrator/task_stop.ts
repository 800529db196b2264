import { ApexError, messageOf } from "../platform/apex_error.ts";
import { delayUnlessAborted } from "../platform/async/wait.ts";
import type { TaskRunContext } from "./task_run_context.ts";

export interface TaskStopOptions {
  readonly taskId: string;
  readonly context: Pick<TaskRunContext, "workspaces" | "clock" | "logger" | "stopTimeoutSeconds">;
  /** Aborted when the task has ended, or is let go. */
  readonly over: AbortSignal;
}

/** Between two tries. */
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 10_000;

/** Asks the engine to stop a task's container; that it ended is told by the engine's events alone. */
export class TaskStop {
  readonly #options: TaskStopOptions;

  constructor(options: TaskStopOptions) {
    this.#options = options;
  }

  /** @throws when the engine refuses */
  async once(): Promise<void> {
    const { taskId, context, over } = this.#options;
    try {
      await context.workspaces.stop(taskId, { timeoutSeconds: context.stopTimeoutSeconds });
    } catch (error) {
      // It ended meanwhile, or its container is gone, which the engine tells.
      if (over.aborted || (error instanceof ApexError && error.code === "not_found")) return;
      throw error;
    }
  }

  /** Tries until the engine does it, or the task has ended. Never rejects. */
  async untilDone(): Promise<void> {
    const { taskId, context, over } = this.#options;
    for (let pauseMs = FIRST_PAUSE_MS; !over.aborted; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
      try {
        return await this.once();
      } catch (error) {
        context.logger.warn(`cannot stop task ${taskId}, trying again: ${messageOf(error)}`);
      }
      await delayUnlessAborted(pauseMs, { clock: context.clock, abort: over });
    }
  }
}
