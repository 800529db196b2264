/**
 * What happens to one container, in one vocabulary for all engines. A change comes from the engine's event stream
 * (`normalize_event.ts`) or from a comparison with the engine's containers (`../reconcile/container_differences.ts`).
 * From there on both take the same way. Changes that wait are saved as JSON, so their fields keep their names.
 */
import type { HealthStatus } from "../../protocol/wire_event.ts";

/** A change of a container's state, in the engine's own words. */
export type LifecycleAction =
  | "create"
  | "start"
  | "kill"
  | "oom"
  | "die"
  | "stop"
  | "restart"
  | "pause"
  | "unpause"
  | "rename"
  | "remove";

export type ContainerChange = PlainChange | KillChange | DieChange | HealthChange;

interface ChangeBase {
  /** The container's full id. */
  readonly id: string;
  /** Without the leading slash; after a rename the new one. Empty when the engine left it out. */
  readonly name: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The engine's time of the change, in nanoseconds since the Unix epoch. */
  readonly timeNano: number;
  /** `reconciled`: inferred from the engine's state. Absent: reported by the engine's stream. */
  readonly origin?: "reconciled";
  /** The change is older than the baseline: it is applied to the registry, and not published. */
  readonly silent?: boolean;
}

export interface PlainChange extends ChangeBase {
  readonly kind: Exclude<LifecycleAction, "kill" | "die">;
}

export interface KillChange extends ChangeBase {
  readonly kind: "kill";
  /** Number of the Unix signal. Absent when the engine does not report it (Podman), or a label hides it. */
  readonly signal?: number;
  /** apex itself sent the signal. */
  readonly isOwn?: true;
}

export interface DieChange extends ChangeBase {
  readonly kind: "die";
  /** Absent when a label hides it. */
  readonly exitCode?: number;
  /** The engine also reports this code when it does not know the real one; an inspect may know it. */
  readonly isCodeDoubtful?: true;
  /** Absent when the engine's event does not say (Docker). */
  readonly oomKilled?: boolean;
  /** The engine's own words; known only from an inspect. */
  readonly error?: string;
}

export interface HealthChange extends ChangeBase {
  readonly kind: "health";
  readonly status: HealthStatus;
  /** What led to the status, once that is known; the engines' events do not contain it. */
  readonly details?: HealthDetails;
  /** From apex's own watch on what the container uses, not from the engine. */
  readonly fromWatch?: true;
}

/** What led to a container's health status. */
export interface HealthDetails {
  /** Number of failed checks in a row, the last one included. */
  readonly failingStreak?: number;
  readonly lastCheckExitCode?: number;
  /** At most {@linkcode MAX_CHECK_OUTPUT_BYTES} as UTF-8. */
  readonly lastCheckOutput?: string;
  /** When the last check ended. */
  readonly lastCheckTime?: Date;
}

/** The longest output of a health check that an event carries. More than that belongs in a log. */
export const MAX_CHECK_OUTPUT_BYTES = 4_096;

/** One end of a container's process, with its verdict. */
export interface Exit {
  /** `stopped`: a client asked the engine to stop the container. */
  readonly verdict: "stopped" | "died";
  /** The `die` that the exit follows from; its time is the exit's time. */
  readonly die: DieChange;
  /** Absent only when a label hides it and the container was removed before it could be inspected. */
  readonly exitCode?: number;
  /** Name of the Unix signal that ended the process: `SIGKILL`. */
  readonly signal?: string;
  readonly oomKilled: boolean;
  /** The process ended without SIGKILL. */
  readonly graceful: boolean;
  readonly error?: string;
}

/** Restores a change from JSON, where a `Date` is a string. */
export function reviveChange<Change extends ContainerChange>(change: Change): Change {
  if (change.kind !== "health" || change.details?.lastCheckTime === undefined) return change;
  const lastCheckTime = new Date(change.details.lastCheckTime);
  return { ...change, details: { ...change.details, lastCheckTime } };
}
