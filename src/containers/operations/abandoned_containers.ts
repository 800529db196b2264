import { EngineError } from "../../engine/http/engine_error.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";

/** An engine that did not reply in time may still create or remove the container. */
const EXPECTED_FOR_MS = 60_000;

/** Containers whose creation was given up, or whose events are overdue, and that are expected for one more minute. */
export class AbandonedContainers<Key> implements Disposable {
  readonly #clock: Clock;
  readonly #timers = new Map<Key, () => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param onExpired called when the minute is over */
  add(key: Key, onExpired?: () => void): void {
    this.take(key);
    const expire = (): void => {
      this.#timers.delete(key);
      onExpired?.();
    };
    this.#timers.set(key, this.#clock.after(EXPECTED_FOR_MS, expire));
  }

  /** Takes out that container; false if it was not expected. */
  take(key: Key): boolean {
    this.#timers.get(key)?.();
    return this.#timers.delete(key);
  }

  [Symbol.dispose](): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }
}

/** Whether a container may appear although its creation failed: the engine did not reply, so it may still create it. */
export function mayStillAppear(error: unknown): boolean {
  if (error instanceof EngineError) return error.status === undefined;
  return !(error instanceof ApexError) || error.code === "interrupted" || error.code === "timeout";
}
