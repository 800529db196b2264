/**
 * What a container's signals change, and what is told of it: each call changes the entry and publishes the change in one
 * synchronous block, so that the order of events is the order of changes, and a listener finds in the registry what its
 * event says. In which order and how often signals come here is the tracker's affair, what an exit is the classifier's.
 */
import type { TypedEmitter } from "../../platform/typed_emitter.ts";
import type { ContainerEntry, ContainerRegistry } from "../container_registry.ts";
import type { ManagerEvents } from "../manager_events.ts";
import type { ContainerRecord } from "../reconcile/container_record.ts";
import type { DieSignal, HealthSignal, Signal } from "./engine_dialect.ts";
import { baseOf, diedEvent, stoppedEvent } from "./event_payloads.ts";
import type { Exit } from "./exit_steps.ts";

export interface EntryChangesOptions {
  readonly emitter: TypedEmitter<ManagerEvents>;
  readonly registry: ContainerRegistry;
  /** The stream told what cannot be: something before it was lost. It is believed all the same. */
  readonly onImpossible: (entry: ContainerEntry, what: string) => void;
}

export class EntryChanges {
  readonly #options: EntryChangesOptions;

  constructor(options: EntryChangesOptions) {
    this.#options = options;
  }

  /** Anything but an exit. */
  apply(entry: ContainerEntry, signal: Exclude<Signal, DieSignal>): void {
    const isOlderThanList = signal.silent === true && entry.inBaseline;
    if (isOlderThanList) {
      if (signal.kind === "start") entry.startedAtNano = signal.timeNano;
      return;
    }
    entry.rename(signal.name);
    const { emitter } = this.#options;
    const isSilent = signal.silent === true;
    const base = baseOf(entry, signal);
    switch (signal.kind) {
      case "create":
        entry.state = "created";
        entry.stateWasSeen = true;
        entry.creationTold = true;
        entry.createdAtNano = signal.timeNano;
        if (!isSilent) emitter.emit("container:created", { ...base, ...labelsOf(entry) });
        break;
      case "start":
        if (entry.stateWasSeen && entry.isUp) this.#doubt(entry, signal, "started while it was running");
        entry.stateWasSeen = true;
        entry.startedAtNano = signal.timeNano;
        // Podman's `start` may come after the `die` of that very run.
        if (entry.finishedAtNano === undefined || entry.finishedAtNano <= signal.timeNano) {
          entry.state = "running";
          entry.finishedAtNano = undefined;
          entry.exitCode = undefined;
        }
        // The engine begins anew with its checks, and Docker says nothing about that.
        if (entry.health !== undefined) entry.health = entry.healthIsWatched ? undefined : "starting";
        if (!isSilent) emitter.emit("container:started", base);
        break;
      case "pause":
      case "unpause":
        entry.state = signal.kind === "pause" ? "paused" : "running";
        entry.stateWasSeen = true;
        break;
      case "health": {
        if (signal.fromWatch === true && !isWatchable(entry)) return;
        const previousStatus = entry.health ?? (isFirstCheck(entry, signal) ? "starting" : undefined);
        entry.healthIsWatched = signal.fromWatch === true;
        entry.health = entry.healthIsWatched && signal.status === "none" ? undefined : signal.status;
        if (!isSilent) {
          emitter.emit("health:report", {
            ...base,
            status: signal.status,
            ...(previousStatus !== undefined && { previousStatus }),
            ...signal.details,
            ...(signal.fromWatch === true && { fromWatch: true }),
          });
        }
        return;
      }
      case "remove": {
        if (entry.state === "removed") return;
        const ours = this.#options.registry.takeRemoval(entry.id);
        this.#options.registry.remove(entry);
        if (!isSilent) {
          emitter.emit("container:removed", {
            ...base,
            ...(ours !== undefined && { forced: ours.forced }),
            ...(entry.exitCode !== undefined && { exitCode: entry.exitCode }),
          });
        }
        break;
      }
    }
    if (!isSilent) emitter.emit("container:lifecycle", { ...base, action: signal.kind });
  }

  /** One end of the container's process. */
  exit(entry: ContainerEntry, exit: Exit): void {
    const { die } = exit;
    if (die.silent === true && entry.inBaseline) return;
    if (entry.stateWasSeen && !entry.isUp) this.#doubt(entry, die, "ended while it was not running");
    entry.rename(die.name);
    if (entry.state !== "removed") entry.state = "exited";
    // Of an earlier run, whose end was told: the start of this one was lost.
    if ((entry.startedAtNano ?? 0) <= (entry.finishedAtNano ?? -1)) entry.startedAtNano = undefined;
    entry.stateWasSeen = true;
    entry.exitCode = exit.exitCode;
    entry.finishedAtNano = die.timeNano;
    if (die.silent === true) return;

    const { emitter } = this.#options;
    if (exit.verdict === "stopped") emitter.emit("container:stopped", stoppedEvent(entry, exit));
    else emitter.emit("container:died", diedEvent(entry, exit));
    emitter.emit("container:lifecycle", { ...baseOf(entry, die), action: "die" });
  }

  #doubt(entry: ContainerEntry, signal: Signal, what: string): void {
    if (signal.origin !== "reconciled" && signal.silent !== true) this.#options.onImpossible(entry, what);
  }
}

/** Docker does not say that its checks begin: what it says first comes from there. */
function isFirstCheck(entry: ContainerEntry, { status, fromWatch }: HealthSignal): boolean {
  return fromWatch !== true && entry.stateWasSeen && entry.isUp && status !== "starting";
}

/** A check may be answered when its container has ended; and what the engine's own checks say counts more. */
function isWatchable(entry: ContainerEntry): boolean {
  return entry.isUp && (entry.health === undefined || entry.healthIsWatched);
}

function labelsOf({ labels }: ContainerEntry): Pick<ContainerRecord, "labels"> | undefined {
  return Object.keys(labels).length > 0 ? { labels } : undefined;
}
