/** What the pool refuses, in words for the person at the terminal. */
import { ApexError } from "../platform/apex_error.ts";

/** @param pid of the client that has it, if it said so */
export function busy(name: string, pid: number | undefined): ApexError {
  const who = pid === undefined ? "" : ` (pid ${pid})`;
  return new ApexError("busy", `cannot attach to session "${name}": already attached${who}; use --force`);
}

export function noSuchSession(what: string, name: string): ApexError {
  return new ApexError("not_found", `cannot ${what} session "${name}": no such session (try: apex list)`);
}

export function notAttached(name: string): ApexError {
  return new ApexError(
    "conflict",
    `cannot detach session "${name}": no client is attached to it (try: apex list)`,
  );
}

export function notEnded(name: string): ApexError {
  return new ApexError(
    "timeout",
    `session "${name}" was told to end, and has not (see the engine's own log; try again: apex kill ${name})`,
  );
}

export function notReady(): ApexError {
  return new ApexError(
    "engine",
    "the sessions are not known yet: the engine does not answer (try again; see apex status)",
  );
}

export function endedTooSoon(exitCode: number | undefined): ApexError {
  const how = exitCode === undefined ? "" : ` with status ${exitCode}`;
  return new ApexError("engine", `the session's container ended${how} before it was told to have started`);
}
