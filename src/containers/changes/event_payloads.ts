/** The payloads of container events, built from what the registry knows and what a signal says. */
import { NANO_PER_MS } from "../../engine/events/engine_time.ts";
import { type ContainerEntry, dateOfNano } from "../container_registry.ts";
import type { ContainerDiedEvent, ContainerEventBase, ContainerStoppedEvent } from "./container_events.ts";
import type { DieSignal, Signal } from "./engine_dialect.ts";
import type { Exit } from "./exit_steps.ts";

export function baseOf(entry: ContainerEntry, signal: Signal): ContainerEventBase {
  return {
    containerId: entry.id,
    containerName: entry.name,
    image: entry.image,
    ...(entry.taskId !== undefined && { taskId: entry.taskId }),
    timestamp: dateOfNano(signal.timeNano),
    ...(signal.origin !== undefined && { origin: signal.origin }),
    success: true,
  };
}

export function stoppedEvent(entry: ContainerEntry, exit: Exit): ContainerStoppedEvent {
  const runDuration = runDurationMs(entry, exit.die);
  return {
    ...baseOf(entry, exit.die),
    ...(exit.exitCode !== undefined && { exitCode: exit.exitCode }),
    graceful: exit.graceful,
    ...(runDuration !== undefined && { runDuration }),
  };
}

export function diedEvent(entry: ContainerEntry, exit: Exit): ContainerDiedEvent {
  const runDuration = runDurationMs(entry, exit.die);
  return {
    ...baseOf(entry, exit.die),
    ...(exit.exitCode !== undefined && { exitCode: exit.exitCode }),
    ...(exit.signal !== undefined && { signal: exit.signal }),
    oomKilled: exit.oomKilled,
    ...(exit.error !== undefined && { error: exit.error }),
    ...(runDuration !== undefined && { runDuration }),
  };
}

/** Undefined when the start is not known. */
function runDurationMs(entry: ContainerEntry, die: DieSignal): number | undefined {
  if (entry.startedAtNano === undefined || entry.startedAtNano > die.timeNano) return undefined;
  return Math.round((die.timeNano - entry.startedAtNano) / NANO_PER_MS);
}
