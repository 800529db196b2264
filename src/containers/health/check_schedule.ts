/**
 * Schedules the checks of containers. Each container has its own interval and at most one check under way; all together
 * have at most {@linkcode MAX_CONCURRENT}. The schedule owns the timers and the checks under way, and ends both.
 */
import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";

/** Concurrent checks: fast for hundreds of containers, and a small load for the engine. */
const MAX_CONCURRENT = 8;

/** Longest time for one check. */
const CHECK_TIMEOUT_MS = 10_000;

export interface CheckScheduleOptions {
  /** One check. `abort` aborts when the container is dropped, or the check takes too long. Never rejects. */
  readonly check: (id: string, abort: AbortSignal) => Promise<void>;
  readonly clock: Clock;
}

interface Scheduled {
  readonly id: string;
  intervalMs: number;
  readonly dropped: AbortController;
  /** Until the next check; undefined while that is due or under way. */
  cancelTimer?: (() => void) | undefined;
}

export class CheckSchedule implements AsyncDisposable {
  readonly #options: CheckScheduleOptions;
  readonly #scheduled = new Map<string, Scheduled>();
  /** Contains each container at most once. */
  #due: Scheduled[] = [];
  readonly #checks = new Set<Promise<void>>();

  constructor(options: CheckScheduleOptions) {
    this.#options = options;
  }

  /** The first check is made as soon as possible. A container that is already scheduled gets the new interval. */
  add(id: string, intervalMs: number): void {
    const known = this.#scheduled.get(id);
    if (known === undefined) {
      const scheduled: Scheduled = { id, intervalMs, dropped: new AbortController() };
      this.#scheduled.set(id, scheduled);
      this.#enqueue(scheduled);
    } else if (known.intervalMs !== intervalMs) {
      known.intervalMs = intervalMs;
      if (known.cancelTimer !== undefined) this.#arm(known);
    }
  }

  drop(id: string): void {
    const scheduled = this.#scheduled.get(id);
    if (scheduled === undefined) return;
    this.#scheduled.delete(id);
    scheduled.cancelTimer?.();
    scheduled.dropped.abort();
    this.#due = this.#due.filter((each) => each !== scheduled);
  }

  /** Drops all containers, and waits for the checks under way. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of [...this.#scheduled.keys()]) this.drop(id);
    await Promise.all(this.#checks);
  }

  #enqueue(scheduled: Scheduled): void {
    this.#due.push(scheduled);
    this.#checkNext();
  }

  #checkNext(): void {
    while (this.#checks.size < MAX_CONCURRENT) {
      const scheduled = this.#due.shift();
      if (scheduled === undefined) return;
      const check = this.#check(scheduled);
      this.#checks.add(check);
      void check.finally(() => {
        this.#checks.delete(check);
        // The container may have been dropped, and even added again, during the check.
        if (this.#scheduled.get(scheduled.id) === scheduled) this.#arm(scheduled);
        this.#checkNext();
      });
    }
  }

  async #check(scheduled: Scheduled): Promise<void> {
    const { check, clock } = this.#options;
    using deadline = new Deadline(CHECK_TIMEOUT_MS, { clock, abort: scheduled.dropped.signal });
    await check(scheduled.id, deadline.abortSignal);
  }

  #arm(scheduled: Scheduled): void {
    scheduled.cancelTimer?.();
    scheduled.cancelTimer = this.#options.clock.after(scheduled.intervalMs, () => {
      scheduled.cancelTimer = undefined;
      this.#enqueue(scheduled);
    });
  }
}
