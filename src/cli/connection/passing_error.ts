import { RefusedError } from "../../client/control_exchange.ts";
import { ApexError, type ErrorCode } from "../../platform/apex_error.ts";

/** Refusals by a daemon that is too busy, about to go, or has no engine yet. */
const PASSING_REFUSALS: ReadonlySet<ErrorCode> = new Set(["busy", "engine", "timeout"]);
/** Nobody there, or nobody who takes a connection or answers. */
const PASSING_FAILURES: ReadonlySet<ErrorCode> = new Set(["no_daemon", "timeout", "failed"]);

/** Whether another try to connect may do what this one did not. */
export function isPassingError(error: unknown): error is ApexError {
  if (error instanceof RefusedError) return PASSING_REFUSALS.has(error.code);
  if (!(error instanceof ApexError)) return false;
  return PASSING_FAILURES.has(error.code) || isConnectionLoss(error);
}

/** Whether the daemon was there, and was gone before it had answered, as one does that is killed. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof ApexError) || error instanceof RefusedError) return false;
  const { cause } = error;
  return cause instanceof Deno.errors.UnexpectedEof || cause instanceof Deno.errors.ConnectionReset ||
    cause instanceof Deno.errors.BrokenPipe || cause instanceof Deno.errors.NotConnected;
}
