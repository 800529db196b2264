/** What the end of a task means for whoever ran it or waits for it. */
import { EXIT_STATUS } from "../../platform/apex_error.ts";
import { exitCodeOfSignal } from "../../platform/signals.ts";
import type { TaskResult } from "../../protocol/control.ts";
import { printable } from "./table.ts";

/** Exit status of `apex run` for every failure of apex itself, as `docker run` has it. */
export const RUN_FAILED_STATUS = 125;

const KILLED_STATUS = exitCodeOfSignal("SIGKILL");
/** What a shell has for a command that cannot be executed, and for one that is not there. */
const NO_COMMAND_STATUSES = [126, 127];

/** The exit status of a verb that ran a task, or waited for it: the command's own, where it has one. */
export function exitStatusOf({ state, reason, exitCode }: TaskResult): number {
  // It did not do what it was run for, whatever its command made of the signal.
  if (state === "cancelled") return exitCode || EXIT_STATUS.interrupted;
  switch (reason) {
    case "timeout":
      return EXIT_STATUS.timeout;
    case "lost":
    case "error":
      return exitCode !== undefined && NO_COMMAND_STATUSES.includes(exitCode) ? exitCode : RUN_FAILED_STATUS;
    case "oom":
    case "signal":
      // The main process may have ended with 0 though a child of it was killed: the task failed all the same.
      return exitCode || KILLED_STATUS;
    default:
      return state === "failed" ? exitCode || EXIT_STATUS.failed : exitCode ?? 0;
  }
}

/** For people, where the exit status alone would leave them wondering. */
export function explainEnd({ taskId, state, reason, error }: TaskResult): string | undefined {
  const why = error === undefined ? "" : `: ${printable(error)}`;
  if (state === "cancelled") return `task ${taskId} was cancelled`;
  switch (reason) {
    case "timeout":
      return `task ${taskId} ran for too long and was stopped (--timeout)`;
    case "lost":
      return `task ${taskId} is lost: its container vanished, and how it ended was not learned${why}`;
    case "error":
      return `task ${taskId} failed${why || ": it could not be started"}`;
    case "oom":
      return `task ${taskId} ran out of memory`;
    default:
      return undefined;
  }
}
