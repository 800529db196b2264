/** Reads the engine's descriptions of a container, the listed and the inspected one, into apex's own terms. */
import type { ContainerInspect, ContainerSummary } from "../../engine/engine_types.ts";
import { parseEngineTime } from "../../engine/events/engine_time.ts";
import { truncateUtf8 } from "../../platform/byte_size.ts";
import { signalNumber } from "../../platform/signals.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import { type ContainerFacts, type ContainerState, dateOfNano } from "../container_record.ts";
import { type HealthDetails, MAX_CHECK_OUTPUT_BYTES } from "./container_change.ts";
import { healthStatus } from "./normalize_event.ts";

const SIGTERM = 15;

/** One container of `GET /containers/json`. */
export interface ListedContainer extends ContainerFacts {
  /** Undefined while the container is being removed. */
  readonly state: ContainerState | undefined;
  readonly health?: HealthStatus;
  readonly exitCode?: number;
  readonly createdAtNano: number;
}

/** What an inspect says about a container and its last run. */
export interface RunFacts {
  /** Number of the signal with which the engine stops the container. */
  readonly stopSignal: number;
  /** The last run has ended; the other fields describe its end. */
  readonly ended: boolean;
  readonly startedAtNano?: number;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly error?: string;
}

/** Reads one container of `GET /containers/json`. */
export function readSummary(summary: ContainerSummary): ListedContainer {
  const health = healthStatus(/\((?:health: )?(starting|healthy|unhealthy)\)/.exec(summary.Status)?.[1]);
  const exitCode = /^Exited \((-?\d+)\)/.exec(summary.Status)?.[1];
  return {
    id: summary.Id,
    name: withoutSlash(ownName(summary.Names ?? [])),
    image: summary.Image,
    labels: summary.Labels ?? {},
    state: stateOf(summary.State),
    ...(health !== undefined && { health }),
    ...(exitCode !== undefined && { exitCode: Number(exitCode) }),
    createdAtNano: summary.Created * 1e9,
  };
}

export function runFactsOf({ State, Config }: ContainerInspect): RunFacts {
  const startedAtNano = parseEngineTime(State.StartedAt);
  return {
    stopSignal: signalNumber(Config.StopSignal ?? "") ?? SIGTERM,
    ended: hasEnded(stateOf(State.Status)),
    ...(startedAtNano !== undefined && { startedAtNano }),
    exitCode: State.ExitCode,
    oomKilled: State.OOMKilled,
    ...(State.Error !== "" && { error: State.Error }),
  };
}

/** What led to a health status; undefined when the container has another status by the time of the inspect. */
export function healthDetailsOf(
  { State }: ContainerInspect,
  status: HealthStatus,
): HealthDetails | undefined {
  const health = State.Health;
  if (health === undefined || health === null || healthStatus(health.Status) !== status) return undefined;
  const last = health.Log?.at(-1);
  const endNano = last === undefined ? undefined : parseEngineTime(last.End);
  return {
    failingStreak: health.FailingStreak,
    ...(last !== undefined && {
      lastCheckExitCode: last.ExitCode,
      lastCheckOutput: truncateUtf8(last.Output, MAX_CHECK_OUTPUT_BYTES),
    }),
    ...(endNano !== undefined && { lastCheckTime: dateOfNano(endNano) }),
  };
}

/** The engine's word for a state; Podman has more of them. Undefined while the container is being removed. */
export function stateOf(word: string): ContainerState | undefined {
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

export function hasEnded(state: ContainerState | undefined): boolean {
  return state === "exited" || state === "restarting";
}

export function withoutSlash(name: string): string {
  return name.startsWith("/") ? name.slice(1) : name;
}

/** Links of other containers are listed as `/other/alias`; the container's own name has one slash. */
function ownName(names: readonly string[]): string {
  return names.find((name) => name.lastIndexOf("/") <= 0) ?? names[0] ?? "";
}
