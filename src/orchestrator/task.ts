/** The public types of tasks: what a program that embeds apex passes in, gets back and listens to. */
import type {
  CreateOptions,
  PullPolicy,
  TaskContainerSpec,
} from "../containers/operations/container_spec.ts";
import type { TaskInput } from "./task_input.ts";

/** `pending` until the container runs. The last three are final, and a task reaches exactly one of them. */
export type TaskState = "pending" | "running" | "completed" | "failed" | "cancelled";

/**
 * Why a task ended. `exit`: its command exited. `oom`: it ran out of memory. `signal`: a signal killed it. `timeout`: it ran
 * longer than its timeout. `lost`: its container was removed and the exit code is unknown. `error`: it could not be started.
 */
export type TaskReason = "exit" | "oom" | "signal" | "timeout" | "lost" | "error";

/** What to run: the options of the container, and those of the task itself. */
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

/** A snapshot of a task. */
export interface Task {
  readonly taskId: string;
  /** Numbers the runs of an id, from 1. An id may be used again when its task has ended. */
  readonly run: number;
  readonly state: TaskState;
  /** Set when the task has ended. */
  readonly reason?: TaskReason;
  /** The exit code of the command; absent if it is unknown. */
  readonly exitCode?: number;
  /** For people: why the task could not be started. */
  readonly error?: string;
  readonly image: string;
  readonly cmd: readonly string[];
  readonly containerId?: string;
  /** The directory that is mounted at `/workspace`. */
  readonly workspacePath?: string;
  readonly createdAt: Date;
  readonly startedAt?: Date;
  readonly endedAt?: Date;
}

/** The payload of every task event. */
export interface TaskEvent {
  readonly taskId: string;
  readonly timestamp: Date;
  readonly containerId?: string;
  readonly exitCode?: number;
  readonly reason?: TaskReason;
}

/** The task events of {@linkcode ApexOrchestrator}, by name. */
export interface TaskEvents {
  "task:created": TaskEvent;
  "task:started": TaskEvent;
  "task:completed": TaskEvent;
  "task:failed": TaskEvent;
  "task:cancelled": TaskEvent;
}

export type TaskEventName = keyof TaskEvents;

/** Which task to follow, and how. */
export interface FollowTaskOptions {
  /** The request that began the task. A later task with the same id has another one. */
  readonly requestId?: string;
  /** The number of the run. Default: the last one. */
  readonly run?: number;
  /**
   * Keeps the container of the ended task until this promise settles, at most ten minutes, so that its output can be read to
   * the end. Several readers may do this at once. If apex ends first, the next process keeps the container for 30 s, or until
   * a reader has returned and is done; but only if the task was begun with a `requestId`, or this is not its first reader.
   */
  readonly holdCleanup?: Promise<unknown>;
}

/** How to run a task; in {@linkcode TaskSpec} is what to run. */
export interface RunTaskOptions extends Omit<FollowTaskOptions, "run"> {
  /** Called while a missing image is pulled. */
  readonly onPullProgress?: NonNullable<CreateOptions["onPullProgress"]>;
  /** Called directly before the start of a task with `stdin`. */
  readonly onInput?: (input: TaskInput) => void;
}

/** A task that was accepted. Its promises never reject. If the orchestrator is disposed, they resolve with the last snapshot. */
export interface TaskHandle {
  readonly taskId: string;
  /** The current snapshot. */
  readonly task: Task;
  /** How many tasks had to end before this one could start, when it was accepted. */
  readonly pendingAhead: number;
  /** The task has ended, and each reader of its output has received all of it, or has disconnected. */
  readonly isOutputTaken: boolean;
  /** Present while the container is removed, after its output was taken. Resolves when that is done. */
  readonly leaving?: Promise<void> | undefined;
  /** Resolves when the task runs, or has ended without running. */
  readonly started: Promise<Task>;
  readonly ended: Promise<Task>;
}
