import type { CreateWorkspaceOptions } from "../workspaces/workspace_manager.ts";
import type { Task } from "./task.ts";
import type { TaskInput } from "./task_input.ts";

export interface RunTaskOptions {
  /** Told while a missing image is pulled. */
  readonly onPullProgress?: NonNullable<CreateWorkspaceOptions["onPullProgress"]>;
  /** Called right before the start of a task with `stdin`, with the way to it. */
  readonly onInput?: (input: TaskInput) => void;
  /**
   * The container of the ended task is left until this settles, so that its output can be read to the end; ten minutes
   * at most.
   */
  readonly holdCleanup?: Promise<unknown>;
}

/** A task that was accepted. Its promises never reject; when the orchestrator is disposed, they resolve as it stands. */
export interface TaskHandle {
  readonly taskId: string;
  /** As it stands now. */
  readonly task: Task;
  /** How many tasks had to end, when it was accepted, before its turn: 0 when that came at once. */
  readonly pendingAhead: number;
  /** Resolves when it runs, or has ended without. */
  readonly started: Promise<Task>;
  readonly ended: Promise<Task>;
}
