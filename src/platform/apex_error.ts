/**
 * The one error class of apex, and the one table from its codes to exit statuses. Programmers' mistakes stay built-in
 * errors (`TypeError`, `RangeError`); everything a user can meet is an {@linkcode ApexError}.
 */

import { systemReason } from "./system_error.ts";

/** What kind of failure it is. Control replies carry the same words in `error.code`. */
export type ErrorCode = keyof typeof EXIT_STATUS;

/** Exit status by error code (README.md has the table for users). */
export const EXIT_STATUS = {
  /** Anything that has no word of its own. */
  failed: 1,
  /** The container engine cannot be reached, or refused a request. */
  engine: 1,
  /** A verb, flag, environment variable or config value that makes no sense. */
  usage: 2,
  /** The peer sent what is not the protocol, or speaks another major version of it. */
  protocol: 1,
  /** No daemon answers on the control socket. */
  no_daemon: 3,
  /** No container, task or session has that name. */
  not_found: 4,
  /** Somebody else holds it: a second daemon, a session attached elsewhere, a task id in use. */
  busy: 5,
  conflict: 5,
  /** The event stream ended before it should: dropped as slow, or the connection was lost. */
  stream_cut: 6,
  timeout: 124,
  interrupted: 130,
} as const;

/**
 * An error whose message is meant for the person at the terminal: what failed, why, and what to do about it.
 * The command line prints `apex: <message>` and exits with {@linkcode EXIT_STATUS} of its `code`.
 */
export class ApexError extends Error {
  override readonly name: string = "ApexError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What is wrong, of anything thrown, for use inside another message. It does not name the file: the caller does. */
export function messageOf(error: unknown): string {
  return systemReason(error) ?? textOf(error);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
