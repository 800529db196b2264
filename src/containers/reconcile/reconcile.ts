/** Comparing all containers with the engine: who is in doubt is inspected, and what really differs is applied. */
import type { ContainerInspect, ContainerSummary } from "../../engine/engine_types.ts";
import { NANO_PER_MS } from "../../engine/events/engine_time.ts";
import { delayUnlessAborted } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Signal } from "../changes/engine_dialect.ts";
import type { ContainerEntry } from "../container_registry.ts";
import { type ComparisonContext, differences, isInDoubt, readSummary } from "./container_differences.ts";

/** Inspects under way at once: quick for hundreds of containers, and no burden for the engine. */
const MAX_INSPECTS = 8;

/** A container whose state moves while it is inspected is inspected again, so many times in all. */
const MAX_TRIES = 3;

/**
 * The engine's state runs ahead of its events: `start` follows `StartedAt` by hundreds of milliseconds under load. What
 * differs is given this long to be told by the stream, before it is inferred.
 */
const GRACE_MS = 500;

/** How {@linkcode reconcileContainers} reaches the rest. */
export interface ReconcileOptions extends Omit<ComparisonContext, "nowNano"> {
  /** Every container that is known to exist. */
  readonly known: () => readonly ContainerEntry[];
  /** Those to inspect whatever the list says, which may be older than what raised the question. */
  readonly contested: ReadonlySet<ContainerEntry>;
  readonly find: (id: string) => ContainerEntry | undefined;
  /** Undefined: no such container. Throws when the engine cannot be asked. */
  readonly inspect: (id: string, signal: AbortSignal) => Promise<ContainerInspect | undefined>;
  /** Takes the differences over, at once. */
  readonly apply: (
    entry: ContainerEntry | undefined,
    signals: Signal[],
    inspect: ContainerInspect | undefined,
  ) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * How a comparison ended. `waiting`: about some containers the engine is being asked already, and until it has answered
 * they cannot be compared; `moving`: some kept changing; `failed`: some could not be inspected.
 */
export type ReconcileOutcome =
  | { readonly result: "settled" | "waiting" | "moving" | "aborted" }
  | { readonly result: "failed"; readonly error: unknown };

/** Inspects each container about which list and registry disagree, and applies what really differs. Never throws. */
export async function reconcileContainers(
  list: readonly ContainerSummary[],
  options: ReconcileOptions,
): Promise<ReconcileOutcome> {
  const context = (): ComparisonContext => ({ ...options, nowNano: options.clock.now() * NANO_PER_MS });
  const listed = list.map(readSummary);
  const listedIds = new Set(listed.map((container) => container.id));
  const doubtful = [
    ...new Set([
      ...options.known().filter((entry) => !listedIds.has(entry.id) || options.contested.has(entry)),
      ...listed.filter((container) => isInDoubt(options.find(container.id), container, context())),
    ].map(({ id }) => id)),
  ];

  let outcome: ReconcileOutcome = { result: "settled" };
  const settle = async (id: string): Promise<void> => {
    let hadGrace = false;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const before = options.find(id);
      const revision = before?.revision;
      const inspect = await options.inspect(id, options.signal);
      if (options.signal.aborted) return;
      const entry = options.find(id);
      // The stream told something meanwhile, or signals wait to be looked at: the answer may be older than that.
      if (entry !== before || entry?.revision !== revision || entry?.hasWaiting === true) continue;
      const signals = differences(entry, inspect, context());
      if (signals.length > 0 && !hadGrace) {
        hadGrace = true;
        tries--;
        await grace();
        if (options.signal.aborted) return;
        continue;
      }
      options.apply(entry, signals, inspect);
      return;
    }
    const isWaiting = options.find(id)?.hasWaiting === true;
    if (!isWaiting && outcome.result !== "failed") outcome = { result: "moving" };
    else if (outcome.result === "settled") outcome = { result: "waiting" };
  };
  // One wait for all: what differs at the end of it has had its time, however many containers differ.
  let graceOver: Promise<boolean> | undefined;
  const grace = (): Promise<unknown> =>
    graceOver ??= delayUnlessAborted(GRACE_MS, { clock: options.clock, abort: options.signal });
  const lane = async (): Promise<void> => {
    for (let id = doubtful.shift(); id !== undefined && !options.signal.aborted; id = doubtful.shift()) {
      try {
        await settle(id);
      } catch (error) {
        // One container that cannot be inspected must not keep the others from being compared.
        outcome = { result: "failed", error };
      }
    }
  };
  await Promise.all(Array.from({ length: MAX_INSPECTS }, lane));
  return options.signal.aborted ? { result: "aborted" } : outcome;
}
