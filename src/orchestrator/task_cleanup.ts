import { messageOf } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import type { OutputReaders } from "./output_readers.ts";
import type { Task } from "./task.ts";
import type { TaskRunContext } from "./task_run_context.ts";

export interface TaskCleanupOptions {
  readonly context: TaskRunContext;
  /** The container is left while there are any, or for as long as a person may read with a pager. */
  readonly readers: OutputReaders;
}

const HOLD_CLEANUP_MS = 600_000;

/**
 * Has the workspace of an ended task finished. Resolves with false when its container could not be dealt with, which is
 * logged, and then left to the next life. Never rejects.
 */
export async function finishWorkspace(
  { taskId, state }: Task,
  options: TaskCleanupOptions,
): Promise<boolean> {
  const { context: { workspaces, engineTurns, clock, disposal, logger }, readers } = options;
  if (state === "pending" || state === "running") return false;
  if (readers.isReading) {
    await settlesWithin(readers.none(), { timeoutMs: HOLD_CLEANUP_MS, clock, abort: disposal });
    // The next life leaves the container to them.
    if (disposal.aborted) return false;
  }
  try {
    return await engineTurns.during(() => workspaces.finish(taskId, state));
  } catch (error) {
    logger.error(`cannot clean up after task ${taskId}: ${messageOf(error)}`);
    return false;
  }
}
