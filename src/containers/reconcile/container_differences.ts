/**
 * What is known of a container, compared with what the engine says about it now. What differs becomes signals marked
 * `reconciled`, which take the same way as those of the stream. Pure.
 */
import type { ContainerInspect, ContainerSummary } from "../../engine/engine_types.ts";
import { parseEngineTime } from "../../engine/events/engine_time.ts";
import { signalNumber, SIGTERM } from "../../platform/signals.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import { healthStatus, type Signal } from "../changes/engine_dialect.ts";
import type { RunFacts } from "../changes/exit_steps.ts";
import { healthDetailsOf } from "../changes/health_details.ts";
import type { ContainerEntry, EntryFacts } from "../container_registry.ts";
import type { ContainerState } from "./container_record.ts";

/** `StartedAt` and the time of the `start` event are of one run if they are not farther apart than this. */
const SAME_START_NANO = 1e6;

/** What the list says of one container, in our words. */
export interface ListedContainer extends EntryFacts {
  /** Undefined while it is being removed. */
  readonly state: ContainerState | undefined;
  readonly health?: HealthStatus;
  readonly exitCode?: number;
  readonly createdAtNano: number;
}

/** Reads one container of `GET /containers/json`. */
export function readSummary(summary: ContainerSummary): ListedContainer {
  const health = /\((?:health: )?(starting|healthy|unhealthy)\)/.exec(summary.Status)?.[1];
  const exitCode = /^Exited \((-?\d+)\)/.exec(summary.Status)?.[1];
  const status = healthStatus(health);
  return {
    id: summary.Id,
    name: withoutSlash(ownName(summary.Names ?? [])),
    image: summary.Image,
    labels: summary.Labels ?? {},
    state: stateOf(summary.State),
    ...(status !== undefined && { health: status }),
    ...(exitCode !== undefined && { exitCode: Number(exitCode) }),
    createdAtNano: summary.Created * 1e9,
  };
}

/** What an inspect tells the exit classifier. */
export function runFactsOf(inspect: ContainerInspect): RunFacts {
  const startedAtNano = parseEngineTime(inspect.State.StartedAt);
  return {
    stopSignal: signalNumber(inspect.Config.StopSignal ?? "") ?? SIGTERM,
    ended: hasEnded(stateOf(inspect.State.Status)),
    ...(startedAtNano !== undefined && { startedAtNano }),
    exitCode: inspect.State.ExitCode,
    oomKilled: inspect.State.OOMKilled,
    ...(inspect.State.Error !== "" && { error: inspect.State.Error }),
  };
}

/** What is needed to compare. */
export interface ComparisonContext {
  /** The stream was cut since the last comparison: whole runs may have been missed. */
  readonly wasInterrupted: boolean;
  /** Engine time up to which the stream was seen before the cut; undefined when it never told anything. */
  readonly seenUntilNano: number | undefined;
  /** The time now, ns; for what has no time of its own: a container that vanished. */
  readonly nowNano: number;
}

/** Whether the list leaves any doubt about a container, so that it must be inspected. */
export function isInDoubt(
  entry: ContainerEntry | undefined,
  listed: ListedContainer,
  context: ComparisonContext,
): boolean {
  if (listed.state === undefined) return false;
  if (entry === undefined || context.wasInterrupted) return entry?.state !== "removed";
  if (entry.state === "removed") return false;
  if (entry.name !== listed.name && listed.name !== "") return true;
  if (knownState(entry) !== listed.state) return true;
  return entry.isUp && (isHealthNews(entry, listed.health) || entry.startedAtNano === undefined);
}

/**
 * The signals that lead from what is known to what is, in the order of the engine's times.
 *
 * @param entry undefined: never heard of
 * @param inspect undefined: the engine has no such container
 */
export function differences(
  entry: ContainerEntry | undefined,
  inspect: ContainerInspect | undefined,
  context: ComparisonContext,
): Signal[] {
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
  const signals: Signal[] = [];

  if (entry === undefined) signals.push({ ...base, kind: "create", timeNano: createdAt });
  else if (entry.name !== name) signals.push({ ...base, kind: "rename", timeNano: context.nowNano });

  const isNewRun = startedAt !== undefined && isRunUnknown(entry, startedAt, context);
  if (isNewRun) signals.push({ ...base, kind: "start", timeNano: startedAt });

  const runIsOpen = isNewRun || (entry !== undefined && !entry.classifier.settling && entry.isUp);
  if (runIsOpen && hasEnded(now) && finishedAt !== undefined) {
    const began = isNewRun ? startedAt : entry?.startedAtNano;
    // An end before the beginning is that of an earlier run: the engine has not written down the new one yet.
    if (began === undefined || finishedAt >= began - SAME_START_NANO) {
      const { exitCode, oomKilled, error } = runFactsOf(inspect);
      signals.push({
        ...base,
        kind: "die",
        timeNano: finishedAt,
        exitCode,
        oomKilled,
        ...(error !== undefined && { error }),
      });
    }
  }
  if (now === "running" || now === "paused") {
    const wasPaused = !isNewRun && entry?.state === "paused";
    if (wasPaused !== (now === "paused")) {
      signals.push({ ...base, kind: wasPaused ? "unpause" : "pause", timeNano: context.nowNano });
    }
    const status = healthStatus(inspect.State.Health?.Status);
    if (status !== undefined && isHealthNews(isNewRun ? undefined : entry, status)) {
      const timeNano = lastProbeNano(inspect) ?? context.nowNano;
      signals.push({
        ...base,
        kind: "health",
        status,
        timeNano,
        details: healthDetailsOf(inspect, status) ?? {},
      });
    }
  }
  return signals;
}

/** What the registry takes over from an inspect without an event: no change, only what was not known before. */
export function fill(entry: ContainerEntry, inspect: ContainerInspect): void {
  entry.classifier.learnStopSignal(runFactsOf(inspect).stopSignal);
  if (entry.state === "removed" || entry.classifier.settling) return;
  const state = stateOf(inspect.State.Status);
  entry.createdAtNano ??= parseEngineTime(inspect.Created);
  entry.startedAtNano ??= parseEngineTime(inspect.State.StartedAt);
  if (entry.isUp) entry.health ??= healthStatus(inspect.State.Health?.Status);
  if (hasEnded(state) && hasEnded(entry.state)) {
    entry.finishedAtNano ??= parseEngineTime(inspect.State.FinishedAt);
    if (state !== undefined) entry.state = state;
  }
}

function vanished(entry: ContainerEntry, context: ComparisonContext): Signal[] {
  if (entry.state === "removed") return [];
  const { id, name, image, labels } = entry;
  return [{ id, name, image, labels, kind: "remove", timeNano: context.nowNano, origin: "reconciled" }];
}

/** Whether a run that began at `startedAt` is one that we do not know of. */
function isRunUnknown(
  entry: ContainerEntry | undefined,
  startedAt: number,
  context: ComparisonContext,
): boolean {
  if (entry === undefined) return true;
  // It began before an end that is known: that end was its own, though its start was lost, or that of a later run.
  if (entry.finishedAtNano !== undefined && startedAt <= entry.finishedAtNano) return false;
  if (entry.startedAtNano !== undefined) return startedAt > entry.startedAtNano + SAME_START_NANO;
  if (entry.state === "created") return true;
  return context.wasInterrupted && context.seenUntilNano !== undefined && startedAt > context.seenUntilNano;
}

/** Every check begins with `starting`: that is no news of a container whose health was not known. */
function isHealthNews(entry: ContainerEntry | undefined, status: HealthStatus | undefined): boolean {
  if (status === undefined || status === "none") return false;
  return status !== (entry?.health ?? "starting");
}

/** As the registry will say once a held verdict has fallen. */
function knownState(entry: ContainerEntry): ContainerState {
  return entry.classifier.settling ? "exited" : entry.state;
}

function hasEnded(state: ContainerState | undefined): boolean {
  return state === "exited" || state === "restarting";
}

/** The engine's word; Podman has more of them. Undefined: it is being removed, which its removal will tell. */
function stateOf(word: string): ContainerState | undefined {
  switch (word) {
    case "created":
    case "configured":
    case "initialized":
      return "created";
    case "running":
    case "stopping":
      return "running";
    case "paused":
    case "restarting":
      return word;
    case "exited":
    case "stopped":
    case "dead":
      return "exited";
    default:
      return undefined;
  }
}

/** Links of other containers appear as `/other/alias`; the container's own name has one slash. */
function ownName(names: readonly string[]): string {
  return names.find((name) => name.lastIndexOf("/") <= 0) ?? names[0] ?? "";
}

function withoutSlash(name: string): string {
  return name.startsWith("/") ? name.slice(1) : name;
}

function lastProbeNano(inspect: ContainerInspect): number | undefined {
  const last = inspect.State.Health?.Log?.at(-1);
  return last === undefined ? undefined : parseEngineTime(last.End);
}
