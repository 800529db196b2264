/** Compares all containers with the engine: inspects those in doubt, and applies what really differs. */
import type { ContainerInspect, ContainerSummary } from "../../engine/engine_types.ts";
import { NANO_PER_MS } from "../../engine/events/engine_time.ts";
import { delayUnlessAborted } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { ContainerChange } from "../changes/container_change.ts";
import type { ContainerLifecycle } from "../changes/container_lifecycle.ts";
import { readSummary } from "../changes/inspect_facts.ts";
import type { ContainerRegistry } from "../container_registry.ts";
import { type ComparisonContext, differences, isInDoubt } from "./container_differences.ts";

/** Concurrent inspects: fast for hundreds of containers, and a small load for the engine. */
const MAX_CONCURRENT = 8;

/** Inspects of one container whose state changes while it is inspected. */
const MAX_TRIES = 3;

/**
 * The engine's state is ahead of its events: under load `start` follows `StartedAt` by hundreds of milliseconds. The
 * stream gets this long to report a difference, before it is inferred.
 */
const GRACE_MS = 500;

export interface ReconcileOptions extends Omit<ComparisonContext, "nowNano"> {
  readonly registry: ContainerRegistry;
  /** Those to inspect whatever the list says, which may be older than what raised the question. */
  readonly contested: ReadonlySet<ContainerLifecycle>;
  /** Resolves to undefined when no such container exists. Rejects when the engine cannot answer. */
  readonly inspect: (id: string, abort: AbortSignal) => Promise<ContainerInspect | undefined>;
  /** Submits the changes, at once. */
  readonly apply: (
    container: ContainerLifecycle | undefined,
    changes: ContainerChange[],
    inspect: ContainerInspect | undefined,
  ) => void;
  readonly clock: Clock;
  readonly abort: AbortSignal;
}

/**
 * How a comparison ended. `delayed`: some containers could not be compared, because they wait for an inspect or a name.
 * `moving`: some kept changing. `failed`: some could not be inspected.
 */
export type ReconcileOutcome =
  | { readonly result: "settled" | "delayed" | "moving" | "aborted" }
  | { readonly result: "failed"; readonly error: unknown };

/** Inspects each container about which list and registry disagree, and applies what really differs. Never rejects. */
export async function reconcileContainers(
  list: readonly ContainerSummary[],
  options: ReconcileOptions,
): Promise<ReconcileOutcome> {
  const { registry, contested, inspect, apply, clock, abort } = options;
  const context = (): ComparisonContext => ({ ...options, nowNano: clock.now() * NANO_PER_MS });
  const listed = list.map(readSummary);
  const listedIds = new Set(listed.map(({ id }) => id));
  const doubtful = [
    ...new Set([
      ...registry.live().filter((container) => !listedIds.has(container.id) || contested.has(container)),
      ...listed.filter((each) => isInDoubt(registry.get(each.id), each, context())),
    ].map(({ id }) => id)),
  ];

  let outcome: ReconcileOutcome = { result: "settled" };
  const settle = async (id: string): Promise<void> => {
    let hadGrace = false;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const before = registry.get(id);
      const revision = before?.revision;
      const inspected = await inspect(id, abort);
      if (abort.aborted) return;
      const container = registry.get(id);
      // The container has changed during the inspect, or changes of it wait: the answer may be older than these.
      if (container !== before || container?.revision !== revision || container?.isDelayed) continue;
      const changes = differences(container, inspected, context());
      if (changes.length > 0 && !hadGrace) {
        hadGrace = true;
        tries--;
        if (await grace()) continue;
        return;
      }
      apply(container, changes, inspected);
      return;
    }
    const isDelayed = registry.get(id)?.isDelayed === true;
    if (!isDelayed && outcome.result !== "failed") outcome = { result: "moving" };
    else if (outcome.result === "settled") outcome = { result: "delayed" };
  };
  // One wait for all containers: what still differs at its end has had its time.
  let graceOver: Promise<boolean> | undefined;
  const grace = (): Promise<boolean> => graceOver ??= delayUnlessAborted(GRACE_MS, { clock, abort });
  const lane = async (): Promise<void> => {
    for (let id = doubtful.shift(); id !== undefined && !abort.aborted; id = doubtful.shift()) {
      try {
        await settle(id);
      } catch (error) {
        // One container that cannot be inspected must not keep the others from being compared.
        outcome = { result: "failed", error };
      }
    }
  };
  await Promise.all(Array.from({ length: MAX_CONCURRENT }, lane));
  return abort.aborted ? { result: "aborted" } : outcome;
}
