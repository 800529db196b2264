/**
 * Between the engine's stream and the registry. Every signal of a container, from the stream or from reconciling, goes
 * through that container's exit classifier; the classifier's steps are carried out here, each changing the registry and
 * telling of it in one synchronous block. So the order of events is the order of changes.
 *
 * The tracker owns the registry, the deadlines of held verdicts, and the inspects that classifiers ask for.
 */
import type { ConnectedInfo, FollowHandlers } from "../engine/event_follower.ts";
import type { EngineEvent } from "../engine/engine_event.ts";
import type { ContainerInspect, ContainerSummary, EngineKind } from "../engine/engine_types.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { ContainerRecord } from "./container_record.ts";
import { ContainerEntry, ContainerRegistry, type EntryFacts } from "./container_registry.ts";
import { type DieSignal, type Signal, stopFollowsDie, toSignal } from "./engine_dialect.ts";
import { baseOf, diedEvent, stoppedEvent } from "./event_payloads.ts";
import { type Exit, HOLD_MS, INSPECT_MS, type InspectAnswer, type Step } from "./exit_classifier.ts";
import type { ManagerEvents } from "./manager_events.ts";
import { fill, readSummary, runFactsOf } from "./container_differences.ts";
import { reconcileContainers } from "./reconcile.ts";
import { isRepetition } from "./repetition.ts";
import type { TypedEmitter } from "./typed_emitter.ts";

export interface ContainerTrackerOptions {
  readonly emitter: TypedEmitter<ManagerEvents>;
  /** Throws an ApexError `not_found` for a container that is gone. */
  readonly inspect: (id: string, signal: AbortSignal) => Promise<ContainerInspect>;
  /** Asks for a new list: the stream told what cannot be. */
  readonly requestReconcile: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ContainerTracker implements FollowHandlers, AsyncDisposable {
  readonly #options: ContainerTrackerOptions;
  readonly #registry = new ContainerRegistry();
  #engine: { readonly kind: EngineKind; readonly id: string } | undefined;
  #isConnected = false;
  /** The stream was cut since the last reconciling. */
  #wasInterrupted = false;
  /** Engine time of the newest event, ns; and what it was at the last cut. */
  #newestNano: number | undefined;
  #seenUntilNano: number | undefined;
  /** Deadlines of held verdicts, by container; they stand still while the engine cannot be heard. */
  readonly #deadlines = new Map<ContainerEntry, { cancel: () => void }>();
  /** What classifiers ask for; each inspect with what ends it. */
  readonly #inspects = new Map<Promise<void>, AbortController>();

  constructor(options: ContainerTrackerOptions) {
    this.#options = options;
  }

  list(): ContainerRecord[] {
    return this.#registry.live().map((entry) => entry.toRecord());
  }

  connected(info: ConnectedInfo): void {
    const isKnownEngine = this.#engine?.id === info.engineId && !info.first;
    this.#engine = { kind: info.kind, id: info.engineId };
    this.#isConnected = true;
    if (isKnownEngine) {
      for (const entry of [...this.#deadlines.keys()]) this.#arm(entry, HOLD_MS);
    } else {
      this.#takeBaseline(info.containers);
    }
    this.#options.emitter.emit("engine:connected", {
      engine: info.kind,
      version: info.version,
      timestamp: new Date(this.#options.clock.now()),
    });
  }

  event(event: EngineEvent, silent: boolean): void {
    const engine = this.#engine;
    if (engine === undefined) throw new Error("The follower delivered an event before the connection's list");
    if (event.type !== "container") return;
    this.#newestNano = Math.max(this.#newestNano ?? 0, event.timeNano);
    const known = this.#registry.get(event.id);
    const signal = toSignal(event, {
      engine: engine.kind,
      silent,
      ...(known !== undefined && { knownLabels: known.labels }),
    });
    if (signal === undefined) return;
    const entry = known ?? this.#add(signal);
    if (isRepetition(entry, signal)) return;
    this.#pass(entry, signal);
  }

  async reconcile(containers: ContainerSummary[], signal: AbortSignal): Promise<void> {
    const outcome = await reconcileContainers(containers, {
      wasInterrupted: this.#wasInterrupted,
      seenUntilNano: this.#seenUntilNano,
      known: () => this.#registry.live(),
      find: (id) => this.#registry.get(id),
      inspect: (id, signal) => this.#inspectIfThere(id, signal),
      apply: (entry, signals, inspect) => this.#applyDifferences(entry, signals, inspect),
      clock: this.#options.clock,
      signal,
    });
    switch (outcome.result) {
      case "settled":
        this.#wasInterrupted = false;
        break;
      case "moving":
        this.#options.requestReconcile();
        break;
      case "failed": // the next list tries again
        this.#options.logger.warn(
          `cannot compare all containers with the engine: ${messageOf(outcome.error)}`,
        );
        break;
      case "aborted":
        break;
    }
  }

  disconnected(error: string): void {
    this.#isConnected = false;
    // After a second cut before any reconciling, what was missed at the first one is still missing.
    if (!this.#wasInterrupted) this.#seenUntilNano = this.#newestNano;
    this.#wasInterrupted = this.#engine !== undefined;
    for (const deadline of this.#deadlines.values()) deadline.cancel();
    this.#options.emitter.emit("engine:disconnected", {
      ...(this.#engine !== undefined && { engine: this.#engine.kind }),
      error,
      timestamp: new Date(this.#options.clock.now()),
    });
  }

  /** Ends deadlines and inspects; what they would have told is not told. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#forgetAll();
    for (const abort of this.#inspects.values()) abort.abort();
    await Promise.all(this.#inspects.keys());
  }

  /** Another engine, or the first: its containers are no news, and those of the engine before are no removals. */
  #takeBaseline(containers: readonly ContainerSummary[]): void {
    this.#forgetAll();
    this.#wasInterrupted = false;
    this.#newestNano = this.#seenUntilNano = undefined;
    for (const summary of containers) {
      const listed = readSummary(summary);
      const entry = this.#add(listed);
      entry.inBaseline = true;
      entry.state = listed.state ?? "exited";
      entry.health = listed.health;
      entry.exitCode = listed.exitCode;
      entry.createdAtNano = listed.createdAtNano;
    }
  }

  #forgetAll(): void {
    for (const deadline of this.#deadlines.values()) deadline.cancel();
    this.#deadlines.clear();
    this.#registry.clear();
  }

  #add(facts: EntryFacts): ContainerEntry {
    const entry = new ContainerEntry(facts, {
      stopFollowsDie: stopFollowsDie(this.#engine?.kind ?? "docker"),
    });
    this.#registry.add(entry);
    return entry;
  }

  #pass(entry: ContainerEntry, signal: Signal): void {
    entry.revision++;
    this.#run(entry, entry.classifier.signal(signal));
  }

  #run(entry: ContainerEntry, steps: readonly Step[]): void {
    for (const step of steps) {
      switch (step.do) {
        case "apply":
          this.#apply(entry, step.signal);
          break;
        case "exit":
          this.#exit(entry, step.exit);
          break;
        case "inspect":
          this.#inspect(entry);
          break;
        case "arm":
          this.#arm(entry, step.ms);
          break;
        case "disarm":
          this.#deadlines.get(entry)?.cancel();
          this.#deadlines.delete(entry);
          break;
      }
    }
  }

  #apply(entry: ContainerEntry, signal: Exclude<Signal, DieSignal>): void {
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
        if (entry.health !== undefined) entry.health = "starting";
        if (!isSilent) emitter.emit("container:started", base);
        break;
      case "pause":
      case "unpause":
        entry.state = signal.kind === "pause" ? "paused" : "running";
        entry.stateWasSeen = true;
        break;
      case "health": {
        const previousStatus = entry.health;
        entry.health = signal.status;
        if (!isSilent) {
          emitter.emit("health:report", {
            ...base,
            status: signal.status,
            ...(previousStatus !== undefined && { previousStatus }),
          });
        }
        return;
      }
      case "remove":
        if (entry.state === "removed") return;
        this.#registry.remove(entry);
        if (!isSilent) {
          emitter.emit("container:removed", {
            ...base,
            ...(entry.exitCode !== undefined && { exitCode: entry.exitCode }),
          });
        }
        break;
    }
    if (!isSilent) emitter.emit("container:lifecycle", { ...base, action: signal.kind });
  }

  #exit(entry: ContainerEntry, exit: Exit): void {
    const { die } = exit;
    if (die.silent === true && entry.inBaseline) return;
    if (entry.stateWasSeen && !entry.isUp) this.#doubt(entry, die, "ended while it was not running");
    entry.rename(die.name);
    if (entry.state !== "removed") entry.state = "exited";
    entry.stateWasSeen = true;
    entry.exitCode = exit.exitCode;
    entry.finishedAtNano = die.timeNano;
    if (die.silent === true) return;

    const { emitter } = this.#options;
    if (exit.verdict === "stopped") emitter.emit("container:stopped", stoppedEvent(entry, exit));
    else emitter.emit("container:died", diedEvent(entry, exit));
    emitter.emit("container:lifecycle", { ...baseOf(entry, die), action: "die" });
  }

  #applyDifferences(
    known: ContainerEntry | undefined,
    signals: readonly Signal[],
    inspect: ContainerInspect | undefined,
  ): void {
    const [first] = signals;
    const entry = known ?? (first === undefined ? undefined : this.#add(first));
    if (entry === undefined) return;
    if (inspect !== undefined) entry.classifier.learnStopSignal(runFactsOf(inspect).stopSignal);
    for (const signal of signals) {
      if (signal.kind === "create") entry.creationTold = true;
      if (signal.kind === "start") entry.inferredStartNano = signal.timeNano;
      if (signal.kind === "die") entry.inferredExitNano = signal.timeNano;
      if (signal.kind === "remove") entry.inferredRemoval = true;
      this.#pass(entry, signal);
    }
    if (inspect !== undefined) fill(entry, inspect);
  }

  /** The stream told what cannot be: something before it was lost. It is believed, and the engine is asked for all. */
  #doubt(entry: ContainerEntry, signal: Signal, what: string): void {
    if (signal.origin === "reconciled" || signal.silent === true) return;
    this.#options.logger.debug(`container ${entry.name} ${what}: the engine's stream lost something`);
    this.#options.requestReconcile();
  }

  #arm(entry: ContainerEntry, ms: number): void {
    this.#deadlines.get(entry)?.cancel();
    const cancel = this.#isConnected
      ? this.#options.clock.after(ms, () => {
        this.#deadlines.delete(entry);
        entry.revision++;
        this.#run(entry, entry.classifier.deadline());
      })
      : () => {};
    this.#deadlines.set(entry, { cancel });
  }

  #inspect(entry: ContainerEntry): void {
    const abort = new AbortController();
    let isAnswered = false;
    const answer = (facts: InspectAnswer): void => {
      if (isAnswered) return;
      isAnswered = true;
      cancelDeadline();
      if (entry.isDiscarded) return;
      entry.revision++;
      this.#run(entry, entry.classifier.inspected(facts));
    };
    const cancelDeadline = this.#options.clock.after(INSPECT_MS, () => {
      answer("unanswered");
      abort.abort();
    });
    const task = this.#inspectIfThere(entry.id, abort.signal).then(
      (inspect) => answer(inspect === undefined ? "gone" : runFactsOf(inspect)),
      (error: unknown) => {
        if (!abort.signal.aborted) {
          this.#options.logger.warn(`cannot inspect container ${entry.name}: ${messageOf(error)}`);
        }
        answer("unanswered");
      },
    );
    this.#inspects.set(task, abort);
    void task.finally(() => this.#inspects.delete(task));
  }

  async #inspectIfThere(id: string, signal: AbortSignal): Promise<ContainerInspect | undefined> {
    try {
      return await this.#options.inspect(id, signal);
    } catch (error) {
      if (error instanceof ApexError && error.code === "not_found") return undefined;
      throw error;
    }
  }
}

function labelsOf({ labels }: ContainerEntry): Pick<ContainerRecord, "labels"> | undefined {
  return Object.keys(labels).length > 0 ? { labels } : undefined;
}
