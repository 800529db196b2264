/**
 * Compares what is known of a container with what the engine says about it now. Differences become changes marked
 * `reconciled`, which take the same way as those of the stream. Pure, except {@linkcode fillGaps}.
 */
import type { ContainerInspect } from "../../engine/engine_types.ts";
import { parseEngineTime } from "../../engine/events/engine_time.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import type { ContainerChange } from "../changes/container_change.ts";
import type { ContainerLifecycle } from "../changes/container_lifecycle.ts";
import {
  hasEnded,
  healthDetailsOf,
  type ListedContainer,
  runFactsOf,
  stateOf,
  withoutSlash,
} from "../changes/inspect_facts.ts";
import { healthStatus } from "../changes/normalize_event.ts";
import type { ContainerEntry } from "../container_record.ts";

/** `StartedAt` and the time of the `start` event belong to one run if they are at most this far apart. */
const SAME_START_NANO = 1e6;

export interface ComparisonContext {
  /** The stream was interrupted since the last comparison: whole runs may have been missed. */
  readonly wasInterrupted: boolean;
  /** Engine time of the last event before the interruption, ns; undefined when there was no event. */
  readonly seenUntilNano: number | undefined;
  /** The time now, ns; for changes that have no time themselves, such as a container that vanished. */
  readonly nowNano: number;
}

/** Whether a container must be inspected, because the list leaves a doubt about it. */
export function isInDoubt(
  container: ContainerLifecycle | undefined,
  listed: ListedContainer,
  context: ComparisonContext,
): boolean {
  if (listed.state === undefined) return false;
  if (container === undefined) return true;
  const { entry } = container;
  if (entry.state === "removed") return false;
  if (context.wasInterrupted) return true;
  if (entry.name !== listed.name && listed.name !== "") return true;
  // The registry will say `exited` once the held verdict is given.
  if ((container.isSettling ? "exited" : entry.state) !== listed.state) return true;
  return entry.isUp && (isNewHealth(entry, listed.health) || entry.startedAtNano === undefined);
}

/**
 * The changes that lead from what is known to the engine's state, in the order of the engine's times.
 *
 * @param container undefined: unknown until now
 * @param inspect undefined: the engine has no such container
 */
export function differences(
  container: ContainerLifecycle | undefined,
  inspect: ContainerInspect | undefined,
  context: ComparisonContext,
): ContainerChange[] {
  const entry = container?.entry;
  if (inspect === undefined) return entry === undefined ? [] : vanished(entry, context);
  const now = stateOf(inspect.State.Status);
  if (now === undefined || entry?.state === "removed") return [];

  const name = withoutSlash(inspect.Name);
  const base = {
    id: inspect.Id,
    name,
    image: entry?.image ?? inspect.Config.Image,
    labels: entry?.labels ?? inspect.Config.Labels ?? {},
    origin: "reconciled" as const,
  };
  const startedAt = parseEngineTime(inspect.State.StartedAt);
  const finishedAt = parseEngineTime(inspect.State.FinishedAt);
  const createdAt = parseEngineTime(inspect.Created) ?? context.nowNano;
  const changes: ContainerChange[] = [];

  if (entry === undefined) changes.push({ ...base, kind: "create", timeNano: createdAt });
  else if (entry.name !== name) changes.push({ ...base, kind: "rename", timeNano: context.nowNano });

  const isNewRun = startedAt !== undefined && isRunUnknown(entry, startedAt, context);
  if (isNewRun) changes.push({ ...base, kind: "start", timeNano: startedAt });

  const isRunOpen = isNewRun || (entry !== undefined && container?.isSettling === false && entry.isUp);
  if (isRunOpen && hasEnded(now) && finishedAt !== undefined) {
    const began = isNewRun ? startedAt : entry?.startedAtNano;
    // An end before the beginning is that of an earlier run: the engine has not written down the end of this one yet.
    if (began === undefined || finishedAt >= began - SAME_START_NANO) {
      const { exitCode, oomKilled, error } = runFactsOf(inspect);
      const facts = { exitCode, oomKilled, ...(error !== undefined && { error }) };
      changes.push({ ...base, kind: "die", timeNano: finishedAt, ...facts });
    }
  }
  if (now === "running" || now === "paused") {
    const wasPaused = !isNewRun && entry?.state === "paused";
    if (wasPaused !== (now === "paused")) {
      changes.push({ ...base, kind: wasPaused ? "unpause" : "pause", timeNano: context.nowNano });
    }
    const status = healthStatus(inspect.State.Health?.Status);
    if (status !== undefined && isNewHealth(isNewRun ? undefined : entry, status)) {
      const timeNano = lastCheckNano(inspect) ?? context.nowNano;
      const details = healthDetailsOf(inspect, status) ?? {};
      changes.push({ ...base, kind: "health", status, timeNano, details });
    }
  }
  return changes;
}

/** Takes over from an inspect what was not known before. Nothing has changed, so nothing is published. */
export function fillGaps(container: ContainerLifecycle, inspect: ContainerInspect): void {
  const { entry } = container;
  if (entry.state === "removed" || container.isSettling) return;
  const state = stateOf(inspect.State.Status);
  entry.createdAtNano ??= parseEngineTime(inspect.Created);
  entry.startedAtNano ??= parseEngineTime(inspect.State.StartedAt);
  if (entry.isUp) entry.health ??= healthStatus(inspect.State.Health?.Status);
  if (state !== undefined && hasEnded(state) && hasEnded(entry.state)) {
    entry.finishedAtNano ??= parseEngineTime(inspect.State.FinishedAt);
    entry.state = state;
  }
}

function vanished(entry: ContainerEntry, context: ComparisonContext): ContainerChange[] {
  if (entry.state === "removed") return [];
  const { id, name, image, labels } = entry;
  return [{ id, name, image, labels, kind: "remove", timeNano: context.nowNano, origin: "reconciled" }];
}

/** Whether apex does not know the run that began at `startedAt`. */
function isRunUnknown(
  entry: ContainerEntry | undefined,
  startedAt: number,
  context: ComparisonContext,
): boolean {
  if (entry === undefined) return true;
  // It began before a known end. That end was its own, and its start was lost, or it was that of a later run.
  if (entry.finishedAtNano !== undefined && startedAt <= entry.finishedAtNano) return false;
  if (entry.startedAtNano !== undefined) return startedAt > entry.startedAtNano + SAME_START_NANO;
  if (entry.state === "created") return true;
  return context.wasInterrupted && context.seenUntilNano !== undefined && startedAt > context.seenUntilNano;
}

/** Every check begins with `starting`, which is nothing new for a container whose health was not known. */
function isNewHealth(entry: ContainerEntry | undefined, status: HealthStatus | undefined): boolean {
  if (status === undefined || status === "none") return false;
  return status !== (entry?.health ?? "starting");
}

function lastCheckNano(inspect: ContainerInspect): number | undefined {
  const last = inspect.State.Health?.Log?.at(-1);
  return last === undefined ? undefined : parseEngineTime(last.End);
}
