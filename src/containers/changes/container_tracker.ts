/**
 * Keeps the registry in step with one engine. It takes the baseline, normalizes the stream's events, and finds by
 * reconciling what the stream did not report. The way of a change, from either source:
 *
 * 1. `normalize_event.ts` or `../reconcile/container_differences.ts` makes a {@linkcode ContainerChange} of it.
 * 2. The container's {@linkcode ReplayState} drops it if it is a repetition.
 * 3. The {@linkcode NameHandover} holds it while the previous owner of the container's name is unpublished.
 * 4. The container's {@linkcode ContainerLifecycle} holds it behind an inspect or an exit verdict.
 * 5. The {@linkcode ChangePublisher} updates the registry and publishes it, in one synchronous block.
 */
import type { ContainerInspect, ContainerSummary, EngineKind } from "../../engine/engine_types.ts";
import { NANO_PER_MS } from "../../engine/events/engine_time.ts";
import type { EngineEvent } from "../../engine/events/event_stream.ts";
import type { ConnectedInfo, FollowHandlers } from "../../engine/events/followed_connection.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { TypedEmitter } from "../../platform/typed_emitter.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import type { ContainerFacts } from "../container_record.ts";
import { ContainerRegistry } from "../container_registry.ts";
import type { ContainerCheckpoints } from "../reconcile/container_checkpoints.ts";
import { Reconciler } from "../reconcile/reconciler.ts";
import { ChangePublisher } from "./change_publisher.ts";
import type { ContainerChange, HealthDetails } from "./container_change.ts";
import type { ManagerEvents } from "./container_events.ts";
import { ContainerLifecycle, type LifecycleContext } from "./container_lifecycle.ts";
import type { ClassifierSnapshot } from "./exit_classifier.ts";
import { readSummary } from "./inspect_facts.ts";
import { InspectRetryQueue } from "./inspect_retry_queue.ts";
import { NameHandover } from "./name_handover.ts";
import { normalizeEvent, stopFollowsDie } from "./normalize_event.ts";
import { OwnActions } from "./own_actions.ts";

export interface ContainerTrackerOptions {
  readonly emitter: TypedEmitter<ManagerEvents>;
  /** Rejects with an ApexError `not_found` when no such container exists. */
  readonly inspect: (id: string, abort: AbortSignal) => Promise<ContainerInspect>;
  /** Asks the follower for a new list, because the stream has lost something. */
  readonly requestReconcile: () => void;
  /** Of the previous run of apex, and for the next one. */
  readonly checkpoints?: ContainerCheckpoints | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The health of a container without checks of its own. */
export interface WatchedHealth {
  /** `none`: it is no longer watched. */
  readonly status: HealthStatus;
  readonly details: HealthDetails;
}

export class ContainerTracker implements FollowHandlers, AsyncDisposable {
  readonly registry: ContainerRegistry;
  readonly ownActions = new OwnActions();
  readonly #options: ContainerTrackerOptions;
  readonly #names: NameHandover;
  readonly #inspects: InspectRetryQueue;
  readonly #context: LifecycleContext;
  readonly #reconciler: Reconciler;
  #engine: { readonly kind: EngineKind; readonly id: string } | undefined;
  #isConnected = false;
  #isStopped = false;
  #isCaughtUp = false;

  constructor(options: ContainerTrackerOptions) {
    this.#options = options;
    const { checkpoints, clock, emitter, logger, requestReconcile } = options;
    this.registry = new ContainerRegistry({ onForgotten: (id) => checkpoints?.forget(id) });
    const inspect = (id: string, abort: AbortSignal) => this.#inspectIfExists(id, abort);
    const compareTheRest = (): void => this.#reconciler.compareTheRest();
    this.#names = new NameHandover({ onResumed: compareTheRest, onContested: requestReconcile });
    this.#inspects = new InspectRetryQueue({ inspect, clock, logger });
    this.#context = {
      publisher: new ChangePublisher({
        emitter,
        ownActions: this.ownActions,
        onRemoved: ({ id }) => this.registry.bury(id),
        onImpossible: ({ name }, what) => {
          logger.debug(`container ${name} ${what}: the engine's stream has lost an event`);
          requestReconcile();
        },
      }),
      inspects: this.#inspects,
      clock,
      isConnected: () => this.#isConnected,
      onCarriedOut: (container) => {
        this.#save(container);
        this.#names.carriedOut(container);
      },
      onAnswered: compareTheRest,
    };
    this.#reconciler = new Reconciler({
      registry: this.registry,
      names: this.#names,
      inspect,
      add: (facts) => this.#add(facts),
      submit: (container, change) => this.#submit(container, change),
      save: (container) => this.#save(container),
      onCaughtUp: () => this.#caughtUp(),
      requestReconcile,
      clock,
    });
  }

  get engineId(): string | undefined {
    return this.#engine?.id;
  }

  /** What happened while the engine was not connected has been published. */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp;
  }

  /** Submits what apex's own watch found about a container's health. */
  reportHealth(id: string, { status, details }: WatchedHealth): void {
    const container = this.registry.get(id);
    if (container === undefined) return;
    const { name, image, labels } = container.entry;
    const timeNano = this.#options.clock.now() * NANO_PER_MS;
    this.#submit(container, {
      ...{ id, name, image, labels, timeNano, status, details },
      kind: "health",
      fromWatch: true,
    });
  }

  connected(info: ConnectedInfo): void {
    const isKnownEngine = this.#engine?.id === info.engineId && !info.first;
    this.#engine = { kind: info.kind, id: info.engineId };
    if (!isKnownEngine) this.#meet(info);
    this.#isCaughtUp = !this.#reconciler.wasInterrupted;
    this.#isConnected = true;
    this.#inspects.resume();
    for (const container of this.registry.all()) container.resume();
    this.#options.emitter.emit("engine:connected", {
      engine: info.kind,
      version: info.version,
      timestamp: new Date(this.#options.clock.now()),
    });
    if (this.#isCaughtUp) this.#publishCaughtUp();
  }

  event(event: EngineEvent, silent: boolean): void {
    const engine = this.#engine;
    if (engine === undefined) throw new Error("The follower delivered an event before the connection's list");
    if (event.type !== "container") return;
    this.#reconciler.sawEvent(event.timeNano);
    const known = this.registry.get(event.id);
    const change = normalizeEvent(event, { engine: engine.kind, silent, knownLabels: known?.entry.labels });
    if (change === undefined) return;
    this.#options.checkpoints?.note(engine.id, event);
    const container = known ?? this.#add(change);
    const { entry } = container;
    if (entry.replay.isRepetition(change, entry)) return;
    entry.replay.pass(change);
    this.#submit(container, change);
  }

  /** The follower logs a failure, and tries again soon. */
  async reconcile(containers: ContainerSummary[], abort: AbortSignal): Promise<void> {
    await this.#reconciler.reconcile(containers, abort);
  }

  disconnected(error: string): void {
    this.#isConnected = false;
    this.#inspects.pause();
    for (const container of this.registry.all()) container.pause();
    this.#isCaughtUp = false;
    if (this.#engine !== undefined) this.#reconciler.interrupt();
    this.#options.emitter.emit("engine:disconnected", {
      ...(this.#engine !== undefined && { engine: this.#engine.kind }),
      error,
      timestamp: new Date(this.#options.clock.now()),
    });
  }

  /**
   * Ends deadlines and inspects. From here on nothing changes, and nothing is published or saved: the next run of apex
   * publishes it. The registry stays readable. Idempotent.
   */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#names.clear();
    for (const container of this.registry.all()) container.discard();
    await this.#inspects[Symbol.asyncDispose]();
  }

  /** Stops, and forgets all containers. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.#forgetAll();
  }

  /** Passes a change on to the name handover: from the stream, from reconciling, and from the health watch. */
  #submit(container: ContainerLifecycle, change: ContainerChange): void {
    if (this.#isStopped) return;
    const isTaken = this.#names.submit(container, this.ownActions.mark(change));
    // A change that waits is saved too, because the engine will not repeat it.
    if (!isTaken) this.#save(container);
  }

  #caughtUp(): void {
    if (this.#isCaughtUp) return;
    this.#isCaughtUp = true;
    this.#publishCaughtUp();
  }

  #publishCaughtUp(): void {
    if (this.#engine === undefined) return;
    this.#options.emitter.emit("engine:caught-up", {
      engine: this.#engine.kind,
      timestamp: new Date(this.#options.clock.now()),
    });
  }

  /** The first engine, or another one. The containers of the previous engine were not removed: they are forgotten. */
  #meet({ engineId, containers, baselineNano }: ConnectedInfo): void {
    this.#forgetAll();
    const { checkpoints } = this.#options;
    const saved = checkpoints?.recall(engineId);
    this.#reconciler.begin(saved?.newestNano);
    if (checkpoints === undefined || saved === undefined) {
      checkpoints?.begin(engineId, baselineNano);
      this.#takeBaseline(containers);
      return;
    }
    // Containers resume from their last published state. What has changed since is published from there.
    const restored = checkpoints.resume(
      engineId,
      saved.baselineNano,
      (facts, snapshot) => this.#create(facts, snapshot),
    );
    for (const container of restored) this.registry.add(container);
    for (const container of restored) this.#names.enter(container);
    for (const container of restored) container.resumeCheckpoint();
    this.#names.restored(restored);
  }

  /** apex never followed this engine: its existing containers are not announced. */
  #takeBaseline(containers: readonly ContainerSummary[]): void {
    for (const summary of containers) {
      const listed = readSummary(summary);
      const container = this.#add(listed);
      const { entry } = container;
      entry.replay.isInBaseline = true;
      entry.state = listed.state ?? "exited";
      entry.health = listed.health;
      entry.exitCode = listed.exitCode;
      entry.createdAtNano = listed.createdAtNano;
      this.#names.enter(container);
      this.#save(container);
    }
  }

  #forgetAll(): void {
    this.#names.clear();
    this.ownActions.clear();
    this.registry.clear();
  }

  #create(facts: ContainerFacts, snapshot?: ClassifierSnapshot): ContainerLifecycle {
    return new ContainerLifecycle(facts, this.#context, {
      stopFollowsDie: stopFollowsDie(this.#engine?.kind ?? "docker"),
      ...(snapshot !== undefined && { snapshot }),
    });
  }

  #add(facts: ContainerFacts): ContainerLifecycle {
    const container = this.#create(facts);
    this.registry.add(container);
    return container;
  }

  /** A discarded container has no row. */
  #save(container: ContainerLifecycle): void {
    if (!container.isDiscarded) this.#options.checkpoints?.save(container);
  }

  async #inspectIfExists(id: string, abort: AbortSignal): Promise<ContainerInspect | undefined> {
    try {
      return await this.#options.inspect(id, abort);
    } catch (error) {
      if (error instanceof ApexError && error.code === "not_found") return undefined;
      throw error;
    }
  }
}
