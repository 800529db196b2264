import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";
import type { TaskEventName } from "./task_events.ts";
import type { TaskQueue } from "./task_queue.ts";
import type { TaskRun } from "./task_run.ts";

/** What a run shares with all others. */
export interface TaskRunContext {
  readonly workspaces: WorkspaceManager;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stopTimeoutSeconds: number;
  /** Of tasks that may run at once. */
  readonly turns: TaskQueue;
  /** Of those for whom the engine creates, starts or removes something at once. */
  readonly engineTurns: TaskQueue;
  /** Aborted at disposal. */
  readonly disposal: AbortSignal;
  /** Saves what the run is now, and tells of it where that is asked for. */
  readonly changed: (run: TaskRun, told?: { readonly name: TaskEventName; readonly timestamp: Date }) => void;
  /** Keeps hold of what goes on beside, so that disposal can wait for it. */
  readonly track: (work: Promise<void>) => void;
}
