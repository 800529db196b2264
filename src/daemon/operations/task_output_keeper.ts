import type { ContainerManager } from "../../containers/container_manager.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { KeepOutputConfig } from "../../platform/config.ts";
import type { Logger } from "../../platform/logger.ts";
import type { RunKey, StoredOutput, TaskOutputs } from "../../storage/task_outputs.ts";
import type { TaskStore } from "../../storage/task_store.ts";
import type { LeavingContainer } from "../../workspaces/workspace.ts";

export interface TaskOutputKeeperOptions {
  readonly containers: Pick<ContainerManager, "find" | "logTail">;
  readonly tasks: Pick<TaskStore, "runs">;
  readonly outputs: TaskOutputs;
  readonly limits: KeepOutputConfig;
  readonly logger: Logger;
}

/** Stores the end of a task's output just before its container is removed, so that `apex logs` still has it after that. */
export class TaskOutputKeeper {
  readonly #options: TaskOutputKeeperOptions;

  constructor(options: TaskOutputKeeperOptions) {
    this.#options = options;
  }

  /**
   * For the workspace manager, before it removes a container. Rejects never: a container is removed even where its output
   * cannot be kept, which is logged and stored instead.
   */
  readonly keep = async ({ taskId, containerId }: LeavingContainer, signal: AbortSignal): Promise<void> => {
    const { containers, tasks, limits: { maxBytes }, logger } = this.#options;
    const task = tasks.runs(taskId).find((run) => run.containerId === containerId);
    if (maxBytes === 0 || task === undefined || containers.find(containerId)?.state === "created") return;
    try {
      this.#store(task, await containers.logTail(containerId, { maxBytes, signal }));
    } catch (error) {
      // This apex ends, and the next one removes the container; or another program has removed it.
      if (signal.aborted || (error instanceof ApexError && error.code === "not_found")) return;
      logger.warn(`the output of task ${taskId} is not kept: ${messageOf(error)}`);
      this.#store(task, { records: new Uint8Array(0), isCut: true, missing: messageOf(error) });
    }
  };

  #store({ taskId, run }: RunKey, output: StoredOutput): void {
    const { outputs, limits: { maxTotalBytes }, logger } = this.#options;
    if (outputs.keep({ taskId, run }, output, { maxTotalBytes })) return;
    logger.warn(`the output of task ${taskId} is not kept: the database cannot be written`);
  }
}
