/**
 * A clock that stands still until a test advances it. Everything that takes a {@linkcode Clock} can be tested with it without
 * waiting:
 *
 * ```ts
 * const clock = new FakeClock();
 * const part = new Part({ clock });
 * clock.advance(30_000); // runs all timers that are due by then, in order of their due times
 * ```
 *
 * Callbacks run synchronously inside `advance`. Promises that they settle take effect after the next `await`.
 */
import type { Clock } from "../../src/platform/clock.ts";

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  #nowMs: number;
  /** In the order in which they were set, which decides between timers with the same due time. */
  readonly #timers = new Set<Timer>();

  /** @param startMs the time at first, by default 2026-01-01T00:00:00Z */
  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** How many timers are set. Disposed objects must leave none. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Advances the time by `ms`, and runs each timer at its due time, including those that are set on the way. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (let timer = this.#earliest(endMs); timer !== undefined; timer = this.#earliest(endMs)) {
      this.#timers.delete(timer);
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      timer.callback();
    }
    this.#nowMs = endMs;
  }

  #earliest(untilMs: number): Timer | undefined {
    let earliest: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= untilMs && (earliest === undefined || timer.dueMs < earliest.dueMs)) {
        earliest = timer;
      }
    }
    return earliest;
  }
}
