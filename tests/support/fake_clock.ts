/**
 * A clock that stands still until a test moves it. It implements {@linkcode Clock}, so whatever takes its clock by
 * constructor can be tested without waiting:
 *
 * ```ts
 * const clock = new FakeClock();
 * const part = new Part({ clock });
 * clock.advance(30_000); // runs, in order of their due time, all timers that fall due meanwhile
 * ```
 *
 * Callbacks run synchronously inside `advance`; promises that they settle are seen after the next `await`.
 */
import type { Clock } from "../../src/platform/clock.ts";

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  #nowMs: number;
  /** In order of setting, which is also the order of running among equal due times. */
  readonly #timers = new Set<Timer>();

  /** @param startMs where it stands at first; by default 2026-01-01T00:00:00Z. */
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

  /** How many timers are set: a part that was disposed must leave none. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Moves the time on by `ms`, stopping at each timer that falls due, also those set on the way. */
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
