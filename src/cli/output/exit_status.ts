/** Exit statuses of the verbs that pass on the status of a command: `run`, `wait` and `attach`. */
import { ApexError, EXIT_STATUS } from "../../platform/apex_error.ts";
import { exitCodeOfSignal } from "../../platform/signals.ts";
import type { TaskResult } from "../../protocol/task_operations.ts";
import { OutputClosedError } from "../standard_streams.ts";
import { printable } from "./table.ts";

/** The status for every failure of apex itself, as with `docker run`. */
export const RUN_FAILED_STATUS = 125;
/** A shell's status for a program whose reader has closed the pipe. */
const READER_GONE_STATUS = exitCodeOfSignal("SIGPIPE");
const KILLED_STATUS = exitCodeOfSignal("SIGKILL");
/** A shell's statuses for a command that cannot be executed, and for one that does not exist. */
const NO_COMMAND_STATUSES = [126, 127];

/** A failure that ends the program with another status than that of its error code. */
export class StatusError extends Error {
  override readonly name = "StatusError";
  readonly exitStatus: number;

  /** @param cause the error to print */
  constructor(exitStatus: number, cause: Error) {
    super(cause.message, { cause });
    this.exitStatus = exitStatus;
  }
}

/**
 * Gives a failure of apex itself the status {@linkcode RUN_FAILED_STATUS}, an interrupt 130, and a closed output 141.
 *
 * @param whatContinues without the reader of the output, such as `the task continues (see: apex tasks)`
 */
export function toStatusError(error: unknown, whatContinues: string): unknown {
  if (error instanceof OutputClosedError) {
    const closed = new ApexError("failed", `the output was closed; ${whatContinues}`);
    return new StatusError(READER_GONE_STATUS, closed);
  }
  const isInterrupt = error instanceof ApexError && error.code === "interrupted";
  const status = isInterrupt ? EXIT_STATUS.interrupted : RUN_FAILED_STATUS;
  return error instanceof Error ? new StatusError(status, error) : error;
}

/** The status of a verb that ran a task, or waited for it: that of the task's command, if it has one. */
export function exitStatusOf({ state, reason, exitCode }: TaskResult): number {
  // A cancelled task has failed, even if its command exits with 0 when it gets SIGTERM.
  if (state === "cancelled") return exitCode || EXIT_STATUS.interrupted;
  switch (reason) {
    case "timeout":
      return EXIT_STATUS.timeout;
    case "lost":
    case "error":
      return exitCode !== undefined && NO_COMMAND_STATUSES.includes(exitCode) ? exitCode : RUN_FAILED_STATUS;
    case "oom":
    case "signal":
      // The main process may exit with 0 although one of its children was killed: the task has still failed.
      return exitCode || KILLED_STATUS;
    default:
      return state === "failed" ? exitCode || EXIT_STATUS.failed : exitCode ?? 0;
  }
}

/** Explains the end of a task; undefined if its exit status says enough. */
export function explainEnd({ taskId, state, reason, error }: TaskResult): string | undefined {
  const why = error === undefined ? "" : `: ${printable(error)}`;
  if (state === "cancelled") return `task ${taskId} was cancelled`;
  switch (reason) {
    case "timeout":
      return `task ${taskId} was stopped: it exceeded its time limit (--timeout)`;
    case "lost":
      return `task ${taskId} is lost: its container disappeared, and its exit status is unknown${why}`;
    case "error":
      return `task ${taskId} failed${why || ": it could not be started"}`;
    case "oom":
      return `task ${taskId} ran out of memory`;
    default:
      return undefined;
  }
}
