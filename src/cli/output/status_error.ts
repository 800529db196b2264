import { ApexError, EXIT_STATUS } from "../../platform/apex_error.ts";
import { OutputClosedError } from "./output.ts";
import { RUN_FAILED_STATUS } from "./task_end.ts";

/** A failure that ends the program with another status than its own: `apex run` has 125 for all that is apex's. */
export class StatusError extends Error {
  override readonly name = "StatusError";
  readonly exitStatus: number;

  /** @param cause what is told to people */
  constructor(exitStatus: number, cause: Error) {
    super(cause.message, { cause });
    this.exitStatus = exitStatus;
  }
}

/** What a shell says of a program that wrote to a pipe whose reader had gone: 128 and the number of SIGPIPE. */
const READER_GONE_STATUS = 141;

/**
 * An error as the verbs tell it whose exit status is that of a command: 125 for whatever is not the command's own.
 *
 * @param whatGoesOn without the reader of the output: `the task goes on (see: apex tasks)`
 */
export function toStatusError(error: unknown, whatGoesOn: string): unknown {
  if (error instanceof OutputClosedError) {
    const told = new ApexError("failed", `the output was closed; ${whatGoesOn}`);
    return new StatusError(READER_GONE_STATUS, told);
  }
  const isInterrupt = error instanceof ApexError && error.code === "interrupted";
  const status = isInterrupt ? EXIT_STATUS.interrupted : RUN_FAILED_STATUS;
  return error instanceof Error ? new StatusError(status, error) : error;
}
