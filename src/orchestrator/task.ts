/** What a task is: one command, run in a container workspace of its own. */
import type { PullPolicy, TaskContainerSpec } from "../containers/operations/container_spec.ts";

/** `pending` until its container runs; the last three are ends, and a task has exactly one. */
export type TaskState = "pending" | "running" | "completed" | "failed" | "cancelled";

/**
 * Why a task ended. `exit`: its command did, by itself. `oom`: out of memory. `signal`: a signal ended it. `timeout`: it
 * ran for too long. `lost`: its container vanished and no exit was learned. `error`: it could not be started.
 */
export type TaskReason = "exit" | "oom" | "signal" | "timeout" | "lost" | "error";

/** What to run: the container's options, and those of the task itself. */
export interface TaskSpec extends TaskContainerSpec {
  /** `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`. Default: a random id. */
  readonly taskId?: string;
  /** When the image is pulled. Default: `missing`. */
  readonly pull?: PullPolicy;
  /** The command reads standard input, which `RunTaskOptions.onInput` provides. Default: standard input is empty. */
  readonly stdin?: boolean;
  /** Measured from the start. A task that runs longer is stopped, and has failed with the reason `timeout`. */
  readonly timeoutMs?: number;
  /** Keep the container when the task has ended. */
  readonly keep?: boolean;
  /** Keep the container when the task has failed. */
  readonly keepOnFailure?: boolean;
}

/** A task as it stands now. */
export interface Task {
  readonly taskId: string;
  /** Which run of its id it is, from 1 on: an id may be used again once its task has ended. */
  readonly run: number;
  readonly state: TaskState;
  /** Once it has ended. */
  readonly reason?: TaskReason;
  /** Of its command, once that has ended and when it is known. */
  readonly exitCode?: number;
  /** For people: why it could not be started, or what the engine said. */
  readonly error?: string;
  readonly image: string;
  readonly cmd: readonly string[];
  readonly containerId?: string;
  /** The directory that is its `/workspace`. */
  readonly workspacePath?: string;
  readonly createdAt: Date;
  readonly startedAt?: Date;
  readonly endedAt?: Date;
}
