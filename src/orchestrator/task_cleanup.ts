import { messageOf } from "../platform/apex_error.ts";
import type { Task } from "./task.ts";
import type { TaskRunContext } from "./task_run_context.ts";
import { waitAtMost } from "./wait_at_most.ts";

export interface TaskCleanupOptions {
  readonly context: TaskRunContext;
  /** The container is left until this settles, or for so long as a person may read with a pager. */
  readonly holdCleanup: Promise<unknown> | undefined;
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
  const { context: { workspaces, engineTurns, clock, disposal, logger }, holdCleanup } = options;
  if (state === "pending" || state === "running") return false;
  if (holdCleanup !== undefined) {
    await waitAtMost(holdCleanup, { limitMs: HOLD_CLEANUP_MS, clock, signal: disposal });
  }
  try {
    return await engineTurns.during(() => workspaces.finish(taskId, state));
  } catch (error) {
    logger.error(`cannot clean up after task ${taskId}: ${messageOf(error)}`);
    return false;
  }
}
