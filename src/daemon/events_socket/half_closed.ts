import type { Subscription } from "../../eventlog/subscription.ts";
import type { Clock } from "../../platform/clock.ts";

/** So many are kept: `socat … </dev/null` is a subscriber, a thousand of them are a mistake. */
const MAX_KEPT = 1_024;
/** A hang-up that no event finds is found this late at most, and its descriptor is free again. */
const PROBE_EVERY_MS = 5_000;
const NOTHING = new Uint8Array(0);

/**
 * Subscribers that have closed their end of writing. That is no hang-up, but a hang-up looks the same from the reading
 * side; only a write tells them apart. A write of no bytes does, and sends nothing: so each is probed at once, then now and
 * then while there are any. Beyond the bound the oldest is ended.
 */
export class HalfClosed implements Disposable {
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #kept = new Map<Subscription, Deno.UnixConn>();
  #cancelProbe: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#kept.size;
  }

  add(subscription: Subscription, connection: Deno.UnixConn): void {
    if (subscription.closed) return;
    this.#kept.set(subscription, connection);
    if (this.#kept.size > MAX_KEPT) this.#kept.keys().next().value?.close("gone");
    probe(subscription, connection);
    this.#cancelProbe ??= this.#clock.after(PROBE_EVERY_MS, this.#probeAll);
  }

  delete(subscription: Subscription): void {
    this.#kept.delete(subscription);
  }

  /** Probes no more; the subscriptions stay their owner's. */
  [Symbol.dispose](): void {
    this.#cancelProbe?.();
    this.#cancelProbe = undefined;
    this.#kept.clear();
  }

  readonly #probeAll = (): void => {
    this.#cancelProbe = this.#kept.size > 0 ? this.#clock.after(PROBE_EVERY_MS, this.#probeAll) : undefined;
    for (const [subscription, connection] of this.#kept) probe(subscription, connection);
  };
}

/** Settles its own outcome: whatever a write of nothing fails with, that peer is gone. */
function probe(subscription: Subscription, connection: Deno.UnixConn): void {
  connection.write(NOTHING).catch(() => subscription.close("gone"));
}
