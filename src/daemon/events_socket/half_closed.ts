import type { Subscription } from "../../eventlog/subscription.ts";
import type { Clock } from "../../platform/clock.ts";

/** `socat … </dev/null` is one such subscriber; more than a thousand are an error of their user. */
const MAX_KEPT = 1_024;
/** The longest time until a hang-up is noticed without an event, and its descriptor is free again. */
const PROBE_EVERY_MS = 5_000;
const NOTHING = new Uint8Array(0);

/**
 * The subscribers that have closed their end of writing. On the reading side this looks like a hang-up; only a write shows the
 * difference. A write of zero bytes is enough, and sends nothing. So each subscriber is probed at once, and every 5 s from then
 * on. Above {@linkcode MAX_KEPT}, the oldest one is closed.
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

  /** Stops probing. The subscriptions stay open: their owner closes them. */
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

/** Any error of the write means that the client has hung up. */
function probe(subscription: Subscription, connection: Deno.UnixConn): void {
  connection.write(NOTHING).catch(() => subscription.close("gone"));
}
