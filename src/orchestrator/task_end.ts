/** Derives the end of a task from the end of its container. Pure functions, no state. */
import type { ContainerEvents } from "../containers/changes/container_events.ts";
import type { ContainerState } from "../engine/engine_types.ts";
import { messageOf } from "../platform/apex_error.ts";
import { signalName } from "../platform/signals.ts";
import type { Task, TaskReason } from "./task.ts";

/** The fields that an ended task has. */
export interface TaskEnd extends Pick<Task, "reason" | "exitCode" | "error"> {
  readonly state: "completed" | "failed" | "cancelled";
}

/** Why apex stops a task. The first cause counts. */
export type StopCause = "cancel" | "timeout";

/** An exit of a container's process. */
export interface TaskExit {
  /** Absent if it is unknown. */
  readonly exitCode?: number;
  readonly oomKilled: boolean;
  /** A Unix signal killed the process. */
  readonly bySignal: boolean;
  readonly at: Date;
}

/** A program may exit with 143 by itself, so the event says whether a signal is likely. */
export function exitOfDeath(event: ContainerEvents["container:died"]): TaskExit {
  return {
    ...codeOf(event),
    oomKilled: event.oomKilled,
    bySignal: event.signal !== undefined,
    at: event.timestamp,
  };
}

/** For a container whose exit was not reported. @param instead the time, if the engine has none */
export function exitOfState(state: ContainerState, instead: Date): TaskExit {
  const { ExitCode: exitCode, OOMKilled: oomKilled } = state;
  return { exitCode, oomKilled, bySignal: isSignalCode(exitCode), at: dateOf(state.FinishedAt) ?? instead };
}

/** For a container that was stopped, or of which at most the exit code is known. */
export function exitOfCode(exitCode: number | undefined, at: Date): TaskExit {
  return { ...codeOf({ exitCode }), oomKilled: false, bySignal: isSignalCode(exitCode), at };
}

/** The end of a task whose command exited. */
export function endOfExit(exit: TaskExit, cause?: StopCause): TaskEnd {
  const { exitCode } = exit;
  const code = codeOf(exit);
  if (cause === "timeout") return { state: "failed", reason: "timeout", ...code };
  if (cause === "cancel") {
    return { state: "cancelled", ...(exitCode !== undefined && { reason: reasonOf(exit) }), ...code };
  }
  return { state: exitCode === 0 ? "completed" : "failed", reason: reasonOf(exit), ...code };
}

/** The end of a task that could not be started. */
export function endOfFailure(error: unknown, cause?: StopCause): TaskEnd {
  if (cause === "cancel") return { state: "cancelled" };
  const message = messageOf(error);
  const exitCode = exitCodeOfRefusedStart(message);
  return { state: "failed", reason: "error", ...codeOf({ exitCode }), error: message };
}

/** Parses the engine's RFC 3339 time. Undefined for its "never", which is in the year 1. */
export function dateOf(text: string): Date | undefined {
  const date = new Date(text);
  return date.getTime() > 0 ? date : undefined;
}

/**
 * The shell's convention: 127 for a command that does not exist, 126 for one that cannot be executed. Engines report this only
 * in the OCI runtime's words (runc: `exec: "x": executable file not found in $PATH`, crun: ``executable file `x` not found``).
 */
function exitCodeOfRefusedStart(message: string): number | undefined {
  if (/executable file .*not found|exec: .*no such file or directory/i.test(message)) return 127;
  if (/exec: .*(permission denied|is a directory|exec format error)/i.test(message)) return 126;
  return undefined;
}

function reasonOf({ exitCode, oomKilled, bySignal }: TaskExit): TaskReason {
  if (exitCode === undefined) return "lost";
  if (exitCode === 0) return "exit";
  if (oomKilled) return "oom";
  return bySignal ? "signal" : "exit";
}

function isSignalCode(exitCode: number | undefined): boolean {
  return exitCode !== undefined && exitCode > 128 && signalName(exitCode - 128) !== undefined;
}

function codeOf({ exitCode }: { readonly exitCode?: number | undefined }): { readonly exitCode?: number } {
  return exitCode === undefined ? {} : { exitCode };
}
