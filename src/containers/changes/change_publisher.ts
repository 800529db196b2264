/**
 * The last step of a change: updates the container's entry and publishes the event in one synchronous block. So the order
 * of events is the order of changes, and a listener finds in the registry what its event says. When a change arrives here
 * is decided by the container's lifecycle, and the verdict on an exit by its classifier.
 */
import { NANO_PER_MS } from "../../engine/events/engine_time.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { TypedEmitter } from "../../platform/typed_emitter.ts";
import { type ContainerEntry, dateOfNano } from "../container_record.ts";
import type { ContainerChange, DieChange, Exit, HealthChange } from "./container_change.ts";
import type { ContainerEventBase, ManagerEvents } from "./container_events.ts";
import type { OwnActions } from "./own_actions.ts";

export interface ChangePublisherOptions {
  readonly emitter: TypedEmitter<ManagerEvents>;
  readonly ownActions: OwnActions;
  /** Called when an entry has become `removed`, before that is published. */
  readonly onRemoved: (entry: ContainerEntry) => void;
  /** The stream reported an impossible transition, so it has lost an event. The change is still applied. */
  readonly onImpossible: (entry: ContainerEntry, what: string) => void;
}

export class ChangePublisher {
  readonly #options: ChangePublisherOptions;

  constructor(options: ChangePublisherOptions) {
    this.#options = options;
  }

  /** Any change except an exit. */
  publish(entry: ContainerEntry, change: Exclude<ContainerChange, DieChange>): void {
    const { replay } = entry;
    const isSilent = change.silent === true;
    if (isSilent && replay.isInBaseline) {
      // The baseline list is newer, but does not contain the start time.
      if (change.kind === "start") entry.startedAtNano = change.timeNano;
      return;
    }
    entry.rename(change.name);
    const { emitter, ownActions, onRemoved } = this.#options;
    const base = baseOf(entry, change);
    switch (change.kind) {
      case "create":
        entry.state = "created";
        entry.createdAtNano = change.timeNano;
        replay.stateWasSeen = true;
        replay.isCreationKnown = true;
        if (!isSilent) {
          const { labels } = entry;
          emitter.emit("container:created", { ...base, ...(Object.keys(labels).length > 0 && { labels }) });
        }
        break;
      case "start":
        if (replay.stateWasSeen && entry.isUp) this.#doubt(entry, change, "started while it was running");
        replay.stateWasSeen = true;
        entry.startedAtNano = change.timeNano;
        // Podman may report `start` after the `die` of the same run.
        if (entry.finishedAtNano === undefined || entry.finishedAtNano <= change.timeNano) {
          entry.state = "running";
          entry.finishedAtNano = undefined;
          entry.exitCode = undefined;
        }
        // The engine restarts its checks, and Docker does not report that.
        if (entry.health !== undefined) entry.health = entry.healthIsWatched ? undefined : "starting";
        if (!isSilent) emitter.emit("container:started", base);
        break;
      case "pause":
      case "unpause":
        entry.state = change.kind === "pause" ? "paused" : "running";
        replay.stateWasSeen = true;
        break;
      case "health":
        this.#publishHealth(entry, change, base);
        return; // health is not part of `container:lifecycle`
      case "remove": {
        if (entry.state === "removed") return;
        const ownRemoval = ownActions.takeRemoval(entry.id);
        entry.state = "removed";
        onRemoved(entry);
        if (!isSilent) {
          const { exitCode } = entry;
          emitter.emit("container:removed", {
            ...base,
            ...ownRemoval,
            ...(exitCode !== undefined && { exitCode }),
          });
        }
        break;
      }
    }
    if (!isSilent) emitter.emit("container:lifecycle", { ...base, action: change.kind });
  }

  /** One end of the container's process. */
  publishExit(entry: ContainerEntry, exit: Exit): void {
    const { die } = exit;
    const { replay } = entry;
    if (die.silent === true && replay.isInBaseline) return;
    if (replay.stateWasSeen && !entry.isUp) this.#doubt(entry, die, "ended while it was not running");
    entry.rename(die.name);
    if (entry.state !== "removed") entry.state = "exited";
    // The known start is of an earlier run, whose end was published: the start of this run was lost.
    if ((entry.startedAtNano ?? 0) <= (entry.finishedAtNano ?? -1)) entry.startedAtNano = undefined;
    replay.stateWasSeen = true;
    entry.exitCode = exit.exitCode;
    entry.finishedAtNano = die.timeNano;
    if (die.silent === true) return;

    const { emitter } = this.#options;
    const base = baseOf(entry, die);
    const { exitCode, graceful, signal, oomKilled, error } = exit;
    const runDuration = runDurationMs(entry, die);
    // The wire form keeps the order of the fields.
    if (exit.verdict === "stopped") {
      emitter.emit("container:stopped", { ...base, ...definedFields({ exitCode, graceful, runDuration }) });
    } else {
      const details = definedFields({ exitCode, signal, oomKilled, error, runDuration });
      emitter.emit("container:died", { ...base, ...details });
    }
    emitter.emit("container:lifecycle", { ...base, action: "die" });
  }

  #publishHealth(entry: ContainerEntry, change: HealthChange, base: ContainerEventBase): void {
    const { status, details } = change;
    const fromWatch = change.fromWatch === true;
    // The answer to a watch's check may come after the container's end, and the engine's own checks count more.
    if (fromWatch && !(entry.isUp && (entry.health === undefined || entry.healthIsWatched))) return;
    // Docker does not report that its checks begin: its first report is a change from `starting`.
    const isFirstReport = !fromWatch && entry.replay.stateWasSeen && entry.isUp && status !== "starting";
    const previousStatus = entry.health ?? (isFirstReport ? "starting" : undefined);
    entry.healthIsWatched = fromWatch;
    entry.health = fromWatch && status === "none" ? undefined : status;
    if (change.silent === true) return;
    this.#options.emitter.emit("health:report", {
      ...base,
      status,
      ...(previousStatus !== undefined && { previousStatus }),
      ...details,
      ...(fromWatch && { fromWatch }),
    });
  }

  #doubt(entry: ContainerEntry, change: ContainerChange, what: string): void {
    if (change.origin !== "reconciled" && change.silent !== true) this.#options.onImpossible(entry, what);
  }
}

function baseOf(entry: ContainerEntry, change: ContainerChange): ContainerEventBase {
  return {
    containerId: entry.id,
    containerName: entry.name,
    image: entry.image,
    ...(entry.taskId !== undefined && { taskId: entry.taskId }),
    timestamp: dateOfNano(change.timeNano),
    ...(change.origin !== undefined && { origin: change.origin }),
    success: true,
  };
}

/** Undefined when the start is not known. */
function runDurationMs({ startedAtNano }: ContainerEntry, { timeNano }: DieChange): number | undefined {
  if (startedAtNano === undefined || startedAtNano > timeNano) return undefined;
  return Math.round((timeNano - startedAtNano) / NANO_PER_MS);
}
