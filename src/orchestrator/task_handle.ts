import type { CreateOptions } from "../containers/operations/container_spec.ts";
import type { Task } from "./task.ts";
import type { TaskInput } from "./task_input.ts";

export interface FollowTaskOptions {
  /** Of the request that began it: a later task of the same id is another one. */
  readonly requestId?: string;
  /** Which run of that id; the last by default. */
  readonly run?: number;
  /**
   * The container of the ended task is left until this settles, so that its output can be read to the end; ten minutes
   * at most. Several may read at once. Where apex ends first, the next life leaves the container for 30 s, or until a
   * reader has come and is done; not so for who began the task without a `requestId`.
   */
  readonly holdCleanup?: Promise<unknown>;
}

export interface RunTaskOptions extends Omit<FollowTaskOptions, "run"> {
  /** Told while a missing image is pulled. */
  readonly onPullProgress?: NonNullable<CreateOptions["onPullProgress"]>;
  /** Called right before the start of a task with `stdin`, with the way to it. */
  readonly onInput?: (input: TaskInput) => void;
}

/** A task that was accepted. Its promises never reject; when the orchestrator is disposed, they resolve as it stands. */
export interface TaskHandle {
  readonly taskId: string;
  /** As it stands now. */
  readonly task: Task;
  /** How many tasks had to end, when it was accepted, before its turn: 0 when that came at once. */
  readonly pendingAhead: number;
  /** Nobody waits for more of its output: the task has ended, and whoever read it received everything or left. */
  readonly isOutputTaken: boolean;
  /** Present while its container is being dealt with, which its readers can't hold up any more; resolves when that is done. */
  readonly leaving?: Promise<void> | undefined;
  /** Resolves when it runs, or has ended without. */
  readonly started: Promise<Task>;
  readonly ended: Promise<Task>;
}
