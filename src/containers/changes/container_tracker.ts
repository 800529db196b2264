/**
 * Between the engine's stream and the registry, which it owns: takes the baseline, translates events into signals, and
 * finds by reconciling what the stream did not tell. Every signal, from the stream or from reconciling, goes the same
 * way: through the hand-over of names (`name_handover.ts`) and its container's exit classifier (`classifier_driver.ts`),
 * whose steps change the registry and publish the change in one synchronous block (`entry_changes.ts`).
 */
import type { ContainerInspect, ContainerSummary, EngineKind } from "../../engine/engine_types.ts";
import type { EngineEvent } from "../../engine/events/engine_event.ts";
import { NANO_PER_MS } from "../../engine/events/engine_time.ts";
import type { ConnectedInfo, FollowHandlers } from "../../engine/events/event_follower.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { signalNumber } from "../../platform/signals.ts";
import type { TypedEmitter } from "../../platform/typed_emitter.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import { ContainerEntry, ContainerRegistry, type EntryFacts } from "../container_registry.ts";
import type { ManagerEvents } from "../manager_events.ts";
import { fill, readSummary, runFactsOf } from "../reconcile/container_differences.ts";
import type { ContainerMemory } from "../reconcile/container_memory.ts";
import type { ContainerRecord } from "../reconcile/container_record.ts";
import { reconcileContainers } from "../reconcile/reconcile.ts";
import { ClassifierDriver } from "./classifier_driver.ts";
import { type Signal, stopFollowsDie, toSignal } from "./engine_dialect.ts";
import { EntryChanges } from "./entry_changes.ts";
import type { HealthDetails } from "./health_details.ts";
import { isRepetition } from "./repetition.ts";

export interface ContainerTrackerOptions {
  readonly emitter: TypedEmitter<ManagerEvents>;
  /** Throws an ApexError `not_found` for a container that is gone. */
  readonly inspect: (id: string, signal: AbortSignal) => Promise<ContainerInspect>;
  /** Asks for a new list: the stream told what cannot be. */
  readonly requestReconcile: () => void;
  /** Of an earlier life, and for the next one. */
  readonly memory?: ContainerMemory;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The health of a container that has no checks of its own. */
export interface WatchedHealth {
  /** `none`: it is watched no more. */
  readonly status: HealthStatus;
  readonly details: HealthDetails;
}

export class ContainerTracker implements FollowHandlers, AsyncDisposable {
  readonly #options: ContainerTrackerOptions;
  readonly #registry: ContainerRegistry;
  readonly #driver: ClassifierDriver;
  #engine: { readonly kind: EngineKind; readonly id: string } | undefined;
  /** The stream was cut since the last reconciling. */
  #wasInterrupted = false;
  /** The last comparison had to leave out a container about which the engine was being asked. */
  #isComparisonOpen = false;
  /** Engine time of the newest event, ns; and what it was at the last cut. */
  #newestNano: number | undefined;
  #seenUntilNano: number | undefined;
  #isCaughtUp = false;

  constructor(options: ContainerTrackerOptions) {
    this.#options = options;
    this.#registry = new ContainerRegistry({ onForgotten: (id) => options.memory?.forget(id) });
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
      onChanged: (entry) => this.#save(entry),
      onAnswered: () => this.#compareTheRest(),
      onContested: () => options.requestReconcile(),
      inspect: (id, signal) => this.#inspectIfThere(id, signal),
      clock: options.clock,
      logger: options.logger,
    });
  }

  get engineId(): string | undefined {
    return this.#engine?.id;
  }

  /** What happened while the engine was not heard has been told. */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp;
  }

  list(): ContainerRecord[] {
    return this.#registry.live().filter((entry) => !entry.isUntold).map((entry) => entry.toRecord());
  }

  /** @throws {ApexError} `conflict` for the beginning of several ids */
  find(nameOrId: string): ContainerRecord | undefined {
    return this.#registry.find(nameOrId)?.toRecord();
  }

  /** As {@linkcode find}, and also one that was removed lately, by its id. */
  known(nameOrId: string): ContainerRecord | undefined {
    return this.find(nameOrId) ?? this.#registry.get(nameOrId)?.toRecord();
  }

  /** The one of that id or name that was removed last; undefined when too many were removed since. */
  latelyRemoved(nameOrId: string): ContainerRecord | undefined {
    return this.#registry.findRemoved(nameOrId)?.toRecord();
  }

  /** apex itself removes that container now; the returned function takes that back. */
  expectRemoval(id: string, forced: boolean): () => void {
    return this.#registry.expectRemoval(id, forced);
  }

  /** apex itself sends that signal, in any spelling, now; the returned function takes that back. */
  expectKill(id: string, signal: string): () => void {
    const number = signalNumber(signal);
    // Podman's kills name no signal, and no verdict waits for them.
    const isOfUse = this.#engine !== undefined && stopFollowsDie(this.#engine.kind);
    if (number === undefined || !isOfUse || this.#registry.get(id) === undefined) return () => {};
    return this.#registry.ownKills.expect(id, number);
  }

  /** What apex's own watch found about a container's health; takes its place among the container's signals. */
  reportHealth(id: string, health: WatchedHealth): void {
    const entry = this.#registry.get(id);
    if (entry === undefined) return;
    const { name, image, labels } = entry;
    this.#driver.signal(entry, {
      kind: "health",
      ...{ id, name, image, labels },
      timeNano: this.#options.clock.now() * NANO_PER_MS,
      status: health.status,
      details: health.details,
      fromWatch: true,
    });
  }

  connected(info: ConnectedInfo): void {
    const isKnownEngine = this.#engine?.id === info.engineId && !info.first;
    this.#engine = { kind: info.kind, id: info.engineId };
    if (!isKnownEngine) this.#meet(info);
    this.#isCaughtUp = !this.#wasInterrupted;
    this.#driver.resume();
    this.#options.emitter.emit("engine:connected", {
      engine: info.kind,
      version: info.version,
      timestamp: new Date(this.#options.clock.now()),
    });
    if (this.#isCaughtUp) this.#tellCaughtUp();
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
    this.#options.memory?.note(engine.id, event);
    const entry = known ?? this.#add(signal);
    if (isRepetition(entry, signal)) return;
    this.#driver.signal(entry, this.#registry.ownKills.see(signal));
  }

  async reconcile(containers: ContainerSummary[], signal: AbortSignal): Promise<void> {
    const { names } = this.#driver;
    const claims = names.claims();
    const outcome = await reconcileContainers(containers, {
      wasInterrupted: this.#wasInterrupted,
      seenUntilNano: this.#seenUntilNano,
      known: () => this.#registry.live(),
      contested: new Set(claims.map(({ owner }) => owner)),
      find: (id) => this.#registry.get(id),
      inspect: (id, signal) => this.#inspectIfThere(id, signal),
      apply: (entry, signals, inspect) => this.#applyDifferences(entry, signals, inspect),
      clock: this.#options.clock,
      signal,
    });
    if (outcome.result === "settled" || outcome.result === "waiting") names.decide(claims);
    switch (outcome.result) {
      case "settled":
        this.#wasInterrupted = false;
        this.#caughtUp();
        break;
      case "waiting":
        this.#isComparisonOpen = true;
        this.#caughtUp(); // what is waited for is told when it comes
        if (!this.#registry.live().some((entry) => entry.hasWaiting)) this.#compareTheRest();
        break;
      case "moving":
        this.#caughtUp(); // what moves is being told
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
    this.#isCaughtUp = false;
    // After a second cut before any reconciling, what was missed at the first one is still missing.
    if (!this.#wasInterrupted) this.#seenUntilNano = this.#newestNano;
    this.#wasInterrupted = this.#engine !== undefined;
    this.#options.emitter.emit("engine:disconnected", {
      ...(this.#engine !== undefined && { engine: this.#engine.kind }),
      error,
      timestamp: new Date(this.#options.clock.now()),
    });
  }

  /** From here on nothing changes, and nothing is told or remembered: that is for the next life. May be called again. */
  async stop(): Promise<void> {
    await this.#driver[Symbol.asyncDispose]();
  }

  /** Ends deadlines and inspects; what they would have told is not told. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.#forgetAll();
  }

  /** What could not be compared because the engine was being asked about it. */
  #compareTheRest(): void {
    if (!this.#isComparisonOpen) return;
    this.#isComparisonOpen = false;
    this.#options.requestReconcile();
  }

  #caughtUp(): void {
    if (this.#isCaughtUp) return;
    this.#isCaughtUp = true;
    this.#tellCaughtUp();
  }

  #tellCaughtUp(): void {
    if (this.#engine === undefined) return;
    this.#options.emitter.emit("engine:caught-up", {
      engine: this.#engine.kind,
      timestamp: new Date(this.#options.clock.now()),
    });
  }

  /** The first engine, or another one: the containers of the engine before are no removals. */
  #meet({ engineId, kind, containers, baselineNano }: ConnectedInfo): void {
    this.#forgetAll();
    const { memory } = this.#options;
    const known = memory?.recall(engineId);
    this.#wasInterrupted = known !== undefined;
    this.#newestNano = this.#seenUntilNano = known?.newestNano;
    if (memory === undefined || known === undefined) {
      memory?.begin(engineId, baselineNano);
      this.#takeBaseline(containers);
      return;
    }
    // Where they stood when they were last told of: what has changed since is told from there.
    const options = { baselineNano: known.baselineNano, stopFollowsDie: stopFollowsDie(kind) };
    const entries = memory.resume(engineId, options);
    for (const entry of entries) this.#registry.add(entry);
    this.#driver.restored(entries);
  }

  /** An engine that was never followed: its containers are no news. */
  #takeBaseline(containers: readonly ContainerSummary[]): void {
    for (const summary of containers) {
      const listed = readSummary(summary);
      const entry = this.#add(listed);
      entry.inBaseline = true;
      entry.state = listed.state ?? "exited";
      entry.health = listed.health;
      entry.exitCode = listed.exitCode;
      entry.createdAtNano = listed.createdAtNano;
      this.#driver.names.enter(entry);
      this.#save(entry);
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
      this.#driver.signal(entry, this.#registry.ownKills.see(signal));
    }
    if (inspect !== undefined) fill(entry, inspect);
    if (inspect !== undefined || signals.length > 0) this.#save(entry);
  }

  /** An entry that is discarded has no row any more, or never will. */
  #save(entry: ContainerEntry): void {
    if (!entry.isDiscarded) this.#options.memory?.save(entry);
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
