import { mayStillAppear } from "../containers/operations/abandoned_containers.ts";
import { delayUnlessAborted } from "../platform/async/wait.ts";
import { dateOf } from "./task_end.ts";
import type { TaskRunContext } from "./task_run_context.ts";

export interface UnclearStartOptions {
  readonly taskId: string;
  readonly context: Pick<TaskRunContext, "workspaces" | "clock">;
  /** Aborted when the task has ended, or is let go. */
  readonly over: AbortSignal;
}

/** An engine that is restarted is back by then. */
const ASK_FOR_MS = 60_000;
const PAUSE_MS = 1_000;

/**
 * Whether the container of a task runs, or has run, although starting it failed with `error`: where no answer came, the
 * engine may have done it, and is asked as soon as it can be reached. A task must not be told as failed while it runs.
 */
export async function wasStartedAllTheSame(error: unknown, options: UnclearStartOptions): Promise<boolean> {
  const { taskId, context: { workspaces, clock }, over } = options;
  const untilMs = clock.now() + ASK_FOR_MS;
  let answer = error;
  while (mayStillAppear(answer) && !over.aborted && clock.now() < untilMs) {
    try {
      const { State } = await workspaces.inspect(taskId, over);
      return dateOf(State.StartedAt) !== undefined;
    } catch (failure) {
      answer = failure;
    }
    await delayUnlessAborted(PAUSE_MS, { clock, abort: over });
  }
  return false;
}
