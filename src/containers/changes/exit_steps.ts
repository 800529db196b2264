/** What goes in and out of an exit classifier beside signals: the steps it asks for, and what the engine is asked. */
import type { DieSignal, HealthSignal, Signal } from "./engine_dialect.ts";

/** Longest wait for an inspect that does not outlive a cut. */
export const INSPECT_MS = 1_000;

/** One end of a container's process. */
export interface Exit {
  readonly verdict: "stopped" | "died";
  /** The `die` it follows from; its time is the exit's time. */
  readonly die: DieSignal;
  /** Absent only when a label hides it and the container was gone before it could be asked. */
  readonly exitCode?: number;
  /** Of a death by signal: `SIGKILL`. */
  readonly signal?: string;
  readonly oomKilled: boolean;
  /** It ended without SIGKILL. */
  readonly graceful: boolean;
  readonly error?: string;
}

/** What is to be done, at once and in order. */
export type Step =
  | { readonly do: "apply"; readonly signal: Exclude<Signal, DieSignal> }
  | { readonly do: "exit"; readonly exit: Exit }
  | InspectStep
  /**
   * Ask what the container's checks said, and answer with `ExitClassifier.described` within
   * {@linkcode INSPECT_MS}; at once where the status is no news. Always the last step.
   */
  | { readonly do: "describe"; readonly signal: HealthSignal }
  /** Call `ExitClassifier.deadline` after `ms`; replaces an earlier one. */
  | { readonly do: "arm"; readonly ms: number }
  | { readonly do: "disarm" };

/** Inspect the container and answer with `ExitClassifier.inspected`. */
export interface InspectStep {
  readonly do: "inspect";
  /** Which inspect it is, among those of this container. */
  readonly question: number;
  /** The exit code is at stake: ask until the engine can tell. Else within {@linkcode INSPECT_MS}. */
  readonly outlivesCut: boolean;
}

/** What an inspect tells about the container and its last run. */
export interface RunFacts {
  /** Number of the signal that the engine stops it with. */
  readonly stopSignal: number;
  /** Its last run has ended, and the rest is about that. */
  readonly ended: boolean;
  readonly startedAtNano?: number;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly error?: string;
}

/** `gone`: no such container any more; `unanswered`: too late, or the engine could not tell. */
export type InspectAnswer = RunFacts | "gone" | "unanswered";
