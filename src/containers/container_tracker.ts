/**
 * Between the engine's stream and the registry, which it owns: takes the baseline, translates events into signals, and
 * finds by reconciling what the stream did not tell. Every signal, from the stream or from reconciling, goes the same
 * way: through its container's exit classifier (`classifier_driver.ts`), whose steps change the registry and tell of it
 * in one synchronous block (`entry_changes.ts`).
 */
import type { ConnectedInfo, FollowHandlers } from "../engine/event_follower.ts";
import type { EngineEvent } from "../engine/engine_event.ts";
import type { ContainerInspect, ContainerSummary, EngineKind } from "../engine/engine_types.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { ClassifierDriver } from "./classifier_driver.ts";
import type { ContainerRecord } from "./container_record.ts";
import { ContainerEntry, ContainerRegistry, type EntryFacts } from "./container_registry.ts";
import { type Signal, stopFollowsDie, toSignal } from "./engine_dialect.ts";
import { EntryChanges } from "./entry_changes.ts";
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
  readonly #driver: ClassifierDriver;
  #engine: { readonly kind: EngineKind; readonly id: string } | undefined;
  /** The stream was cut since the last reconciling. */
  #wasInterrupted = false;
  /** Engine time of the newest event, ns; and what it was at the last cut. */
  #newestNano: number | undefined;
  #seenUntilNano: number | undefined;

  constructor(options: ContainerTrackerOptions) {
    this.#options = options;
    const changes = new EntryChanges({
      emitter: options.emitter,
      registry: this.#registry,
      onImpossible: (entry, what) => {
        options.logger.debug(`container ${entry.name} ${what}: the engine's stream lost something`);
        options.requestReconcile();
      },
    });
    this.#driver = new ClassifierDriver({
      changes,
      inspect: (id, signal) => this.#inspectIfThere(id, signal),
      clock: options.clock,
      logger: options.logger,
    });
  }

  list(): ContainerRecord[] {
    return this.#registry.live().map((entry) => entry.toRecord());
  }

  connected(info: ConnectedInfo): void {
    const isKnownEngine = this.#engine?.id === info.engineId && !info.first;
    this.#engine = { kind: info.kind, id: info.engineId };
    if (!isKnownEngine) this.#takeBaseline(info.containers);
    this.#driver.resume();
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
    this.#driver.signal(entry, signal);
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
      case "failed": // the follower says so, and tries again soon
        throw outcome.error;
      case "aborted":
        break;
    }
  }

  disconnected(error: string): void {
    this.#driver.pause();
    // After a second cut before any reconciling, what was missed at the first one is still missing.
    if (!this.#wasInterrupted) this.#seenUntilNano = this.#newestNano;
    this.#wasInterrupted = this.#engine !== undefined;
    this.#options.emitter.emit("engine:disconnected", {
      ...(this.#engine !== undefined && { engine: this.#engine.kind }),
      error,
      timestamp: new Date(this.#options.clock.now()),
    });
  }

  /** Ends deadlines and inspects; what they would have told is not told. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#forgetAll();
    await this.#driver[Symbol.asyncDispose]();
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
    this.#driver.forget();
    this.#registry.clear();
  }

  #add(facts: EntryFacts): ContainerEntry {
    const entry = new ContainerEntry(facts, {
      stopFollowsDie: stopFollowsDie(this.#engine?.kind ?? "docker"),
    });
    this.#registry.add(entry);
    return entry;
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
      this.#driver.signal(entry, signal);
    }
    if (inspect !== undefined) fill(entry, inspect);
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
