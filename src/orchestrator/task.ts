/** What a task is: one command, run in a container workspace of its own. */
import type { GpuRequest, Mount, PortMapping } from "../containers/operations/container_spec.ts";
import type { PullPolicy } from "../containers/operations/operation_options.ts";

/** `pending` until its container runs; the last three are ends, and a task has exactly one. */
export type TaskState = "pending" | "running" | "completed" | "failed" | "cancelled";

/**
 * Why a task ended. `exit`: its command did, by itself. `oom`: out of memory. `signal`: a signal ended it. `timeout`: it
 * ran for too long. `lost`: its container vanished and no exit was learned. `error`: it could not be started.
 */
export type TaskReason = "exit" | "oom" | "signal" | "timeout" | "lost" | "error";

/** What to run. */
export interface TaskSpec {
  /** `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`; one is made up when it is absent. */
  readonly taskId?: string;
  readonly image: string;
  readonly cmd?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly mounts?: readonly Mount[];
  readonly workdir?: string;
  readonly user?: string;
  readonly network?: string;
  /** Of its container; `apex.…` is reserved. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly ports?: readonly PortMapping[];
  readonly gpus?: GpuRequest;
  /** When its image is pulled; default `missing`. */
  readonly pull?: PullPolicy;
  /** It reads standard input, which comes by `RunTaskOptions.onInput`; where that is absent, it is empty. */
  readonly stdin?: boolean;
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly pidsLimit?: number;
  /** Whether the engine's init is its process 1; absent: where the engine has one. */
  readonly init?: boolean;
  /** From its start; then it is stopped, and has failed with the reason `timeout`. */
  readonly timeoutMs?: number;
  /** A directory of this machine, to be seen at `/workspace`, which is then the working directory. */
  readonly projectDir?: string;
  /** Leave the container when the task has ended. */
  readonly keep?: boolean;
  /** Leave the container when the task has failed. */
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
