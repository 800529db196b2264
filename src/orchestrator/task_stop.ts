import { ApexError, messageOf } from "../platform/apex_error.ts";
import { delayUnlessAborted } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";

export interface TaskStopOptions {
  readonly taskId: string;
  readonly workspaces: Pick<WorkspaceManager, "stop">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stopTimeoutSeconds: number;
  /** Aborted when the task has ended, and at disposal. */
  readonly abort: AbortSignal;
}

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 10_000;

/** Asks the engine to stop a task's container. The engine's event ends the task, not the reply. */
export class TaskStop {
  readonly #options: TaskStopOptions;

  constructor(options: TaskStopOptions) {
    this.#options = options;
  }

  /** @throws if the engine refuses */
  async once(): Promise<void> {
    const { taskId, workspaces, stopTimeoutSeconds, abort } = this.#options;
    try {
      await workspaces.stop(taskId, { timeoutSeconds: stopTimeoutSeconds });
    } catch (error) {
      // The task has ended, or its container was removed: the engine's event is on the way.
      if (abort.aborted || (error instanceof ApexError && error.code === "not_found")) return;
      throw error;
    }
  }

  /** Tries until the engine has stopped the container, or the task has ended. Never rejects. */
  async untilDone(): Promise<void> {
    const { taskId, clock, logger, abort } = this.#options;
    for (let pauseMs = FIRST_PAUSE_MS; !abort.aborted; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
      try {
        return await this.once();
      } catch (error) {
        logger.warn(`cannot stop task ${taskId}, trying again: ${messageOf(error)}`);
      }
      await delayUnlessAborted(pauseMs, { clock, abort });
    }
  }
}
