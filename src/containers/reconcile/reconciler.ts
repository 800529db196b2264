/**
 * Finds what the engine's stream did not report: compares all containers with the engine, inspects those in doubt, and
 * submits what really differs. Owns the position up to which the stream was complete, and whether a comparison is due.
 */
import type { ContainerInspect, ContainerSummary } from "../../engine/engine_types.ts";
import { NANO_PER_MS } from "../../engine/events/engine_time.ts";
import { delayUnlessAborted } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { ContainerChange } from "../changes/container_change.ts";
import type { ContainerLifecycle } from "../changes/container_lifecycle.ts";
import { readSummary, runFactsOf } from "../changes/inspect_facts.ts";
import type { NameHandover } from "../changes/name_handover.ts";
import type { ContainerFacts } from "../container_record.ts";
import type { ContainerRegistry } from "../container_registry.ts";
import { type ComparisonContext, differences, fillGaps, isInDoubt } from "./container_differences.ts";

/** Concurrent inspects: fast for hundreds of containers, and a small load for the engine. */
const MAX_CONCURRENT = 8;

/** Inspects of one container whose state changes while it is inspected. */
const MAX_TRIES = 3;

/**
 * The engine's state is ahead of its events: under load `start` follows `StartedAt` by hundreds of milliseconds. The
 * stream gets this long to report a difference, before it is inferred.
 */
const GRACE_MS = 500;

export interface ReconcilerOptions {
  readonly registry: ContainerRegistry;
  readonly names: NameHandover;
  /** Resolves to undefined when no such container exists. Rejects when the engine cannot answer. */
  readonly inspect: (id: string, abort: AbortSignal) => Promise<ContainerInspect | undefined>;
  /** Adds a container that was unknown until now. */
  readonly add: (facts: ContainerFacts) => ContainerLifecycle;
  readonly submit: (container: ContainerLifecycle, change: ContainerChange) => void;
  readonly save: (container: ContainerLifecycle) => void;
  /** Called when everything that was missed has been submitted, as far as it can be known. */
  readonly onCaughtUp: () => void;
  /** Asks the follower for a new list. */
  readonly requestReconcile: () => void;
  readonly clock: Clock;
}

/**
 * How a comparison ended. `delayed`: some containers could not be compared, because they wait for an inspect or a name.
 * `moving`: some kept changing. `failed`: some could not be inspected.
 */
type Outcome =
  | { readonly result: "settled" | "delayed" | "moving" | "aborted" }
  | { readonly result: "failed"; readonly error: unknown };

export class Reconciler {
  readonly #options: ReconcilerOptions;
  #wasInterrupted = false;
  /** The last comparison had to leave out a delayed container. */
  #isIncomplete = false;
  /** Engine time of the newest event, ns; and its value at the last interruption. */
  #newestNano: number | undefined;
  #seenUntilNano: number | undefined;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** The stream was interrupted since the last complete comparison. */
  get wasInterrupted(): boolean {
    return this.#wasInterrupted;
  }

  /** apex begins to follow an engine. @param newestNano where the previous run stopped; undefined for a new engine */
  begin(newestNano: number | undefined): void {
    this.#wasInterrupted = newestNano !== undefined;
    this.#newestNano = this.#seenUntilNano = newestNano;
  }

  /** The stream has reported an event with this engine time, ns. */
  sawEvent(timeNano: number): void {
    this.#newestNano = Math.max(this.#newestNano ?? 0, timeNano);
  }

  /** The stream has broken. */
  interrupt(): void {
    // After a second interruption before any comparison, what was missed at the first one is still missing.
    if (!this.#wasInterrupted) this.#seenUntilNano = this.#newestNano;
    this.#wasInterrupted = true;
  }

  /** A container is no longer delayed: requests another comparison if the last one had to leave out a container. */
  compareTheRest(): void {
    if (!this.#isIncomplete) return;
    this.#isIncomplete = false;
    this.#options.requestReconcile();
  }

  /**
   * Compares with a list of all containers.
   * @throws the reason why a container could not be inspected, after the others have been compared
   */
  async reconcile(list: readonly ContainerSummary[], abort: AbortSignal): Promise<void> {
    const { registry, names, onCaughtUp, requestReconcile } = this.#options;
    const claims = names.claims();
    const outcome = await this.#compareAll(list, new Set(claims.map(({ owner }) => owner)), abort);
    if (outcome.result === "settled" || outcome.result === "delayed") names.decide(claims);
    switch (outcome.result) {
      case "settled":
        this.#wasInterrupted = false;
        onCaughtUp();
        break;
      case "delayed":
        this.#isIncomplete = true;
        onCaughtUp(); // what is delayed is published when its wait ends
        if (!registry.live().some((container) => container.isDelayed)) this.compareTheRest();
        break;
      case "moving":
        onCaughtUp(); // the stream reports what moves
        requestReconcile();
        break;
      case "failed":
        throw outcome.error;
      case "aborted":
        break;
    }
  }

  /** @param contested to inspect whatever the list says, which may be older than what raised the question */
  async #compareAll(
    list: readonly ContainerSummary[],
    contested: ReadonlySet<ContainerLifecycle>,
    abort: AbortSignal,
  ): Promise<Outcome> {
    const { registry, clock } = this.#options;
    const listed = list.map(readSummary);
    const listedIds = new Set(listed.map(({ id }) => id));
    const doubtful = [
      ...new Set([
        ...registry.live().filter((container) => !listedIds.has(container.id) || contested.has(container)),
        ...listed.filter((each) => isInDoubt(registry.get(each.id), each, this.#context())),
      ].map(({ id }) => id)),
    ];
    // One wait for all containers: what still differs at its end has had its time.
    let graceOver: Promise<boolean> | undefined;
    const grace = (): Promise<boolean> => graceOver ??= delayUnlessAborted(GRACE_MS, { clock, abort });
    let outcome: Outcome = { result: "settled" };
    const lane = async (): Promise<void> => {
      for (let id = doubtful.shift(); id !== undefined && !abort.aborted; id = doubtful.shift()) {
        try {
          if (await this.#compare(id, grace, abort)) continue;
          const isDelayed = registry.get(id)?.isDelayed === true;
          if (!isDelayed && outcome.result !== "failed") outcome = { result: "moving" };
          else if (outcome.result === "settled") outcome = { result: "delayed" };
        } catch (error) {
          // One container that cannot be inspected must not keep the others from being compared.
          outcome = { result: "failed", error };
        }
      }
    };
    await Promise.all(Array.from({ length: MAX_CONCURRENT }, lane));
    return abort.aborted ? { result: "aborted" } : outcome;
  }

  /** Resolves to whether the container was compared, or the comparison aborted. */
  async #compare(id: string, grace: () => Promise<boolean>, abort: AbortSignal): Promise<boolean> {
    const { registry, inspect } = this.#options;
    let hadGrace = false;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const before = registry.get(id);
      const revision = before?.revision;
      const inspected = await inspect(id, abort);
      if (abort.aborted) return true;
      const container = registry.get(id);
      // The container has changed during the inspect, or changes of it wait: the answer may be older than these.
      if (container !== before || container?.revision !== revision || container?.isDelayed) continue;
      const changes = differences(container, inspected, this.#context());
      if (changes.length === 0 || hadGrace) {
        this.#apply(container, changes, inspected);
        return true;
      }
      hadGrace = true;
      tries--;
      if (!await grace()) return true;
    }
    return false;
  }

  #apply(
    known: ContainerLifecycle | undefined,
    changes: readonly ContainerChange[],
    inspect: ContainerInspect | undefined,
  ): void {
    const { add, submit, save } = this.#options;
    const [first] = changes;
    const container = known ?? (first === undefined ? undefined : add(first));
    if (container === undefined) return;
    if (inspect !== undefined) container.learnStopSignal(runFactsOf(inspect).stopSignal);
    for (const change of changes) {
      container.entry.replay.infer(change);
      submit(container, change);
    }
    if (inspect !== undefined) {
      fillGaps(container, inspect);
      save(container);
    }
  }

  #context(): ComparisonContext {
    return {
      wasInterrupted: this.#wasInterrupted,
      seenUntilNano: this.#seenUntilNano,
      nowNano: this.#options.clock.now() * NANO_PER_MS,
    };
  }
}
