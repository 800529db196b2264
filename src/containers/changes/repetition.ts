import type { ContainerEntry } from "../container_registry.ts";
import type { Signal } from "./engine_dialect.ts";

/** The engine writes down `FinishedAt` before it says `die`, under load up to half a second before. */
const EXIT_LAG_NANO = 5e9;

/**
 * Whether a signal of the stream tells what reconciling has told already, or what the engine has said before; then it
 * is dropped. A mark is used up by the event that matches it, or by proof that the engine is past it.
 */
export function isRepetition(entry: ContainerEntry, signal: Signal): boolean {
  if (entry.state === "removed" && entry.inferredRemoval) return isAfterInferredRemoval(entry, signal);
  switch (signal.kind) {
    case "create":
      return entry.creationTold;
    case "start":
      return isToldStart(entry, signal.timeNano);
    case "die":
      return isToldExit(entry, signal.timeNano);
    case "remove":
      return entry.state === "removed";
    default:
      return false;
  }
}

function isToldStart(entry: ContainerEntry, timeNano: number): boolean {
  const { inferredStartNano, inferredExitNano } = entry;
  if (inferredStartNano !== undefined) {
    // Of the inferred run itself, if that is still open (no other start can come before its end) or ended after this.
    if (inferredExitNano === undefined || timeNano <= inferredExitNano) return true;
  }
  entry.inferredStartNano = entry.inferredExitNano = undefined;
  return false;
}

function isToldExit(entry: ContainerEntry, timeNano: number): boolean {
  const { inferredStartNano, inferredExitNano } = entry;
  if (inferredStartNano !== undefined && timeNano < inferredStartNano) return true; // of a run before the inferred one
  if (inferredExitNano !== undefined && timeNano <= inferredExitNano + EXIT_LAG_NANO) return true;
  entry.inferredStartNano = entry.inferredExitNano = undefined;
  return false;
}

/** Only an exit that nobody could tell is still news. */
function isAfterInferredRemoval(entry: ContainerEntry, signal: Signal): boolean {
  return signal.kind !== "die" || entry.exitCode !== undefined || entry.inferredExitNano !== undefined;
}
