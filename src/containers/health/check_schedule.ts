/**
 * When which container is looked at: each in its own interval, never twice at once at one, and at a few at once in all.
 * It owns the timers and the checks under way, and ends both. What a check finds is its owner's affair.
 */
import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";

/** Checks under way at once: quick for hundreds of containers, and no burden for the engine. */
const MAX_CHECKS = 8;

/** The longest that one check may take. */
const CHECK_MS = 10_000;

export interface CheckScheduleOptions {
  /** One check; its signal aborts when the container is dropped, or the check takes too long. Never throws. */
  readonly check: (id: string, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
}

interface Scheduled {
  readonly id: string;
  intervalMs: number;
  readonly dropped: AbortController;
  /** Until its next check; absent while that is due or under way. */
  cancelTimer?: (() => void) | undefined;
}

export class CheckSchedule implements AsyncDisposable {
  readonly #options: CheckScheduleOptions;
  readonly #scheduled = new Map<string, Scheduled>();
  /** Each at most once. */
  #due: Scheduled[] = [];
  readonly #checks = new Set<Promise<void>>();

  constructor(options: CheckScheduleOptions) {
    this.#options = options;
  }

  /** The first check is made as soon as it can. One that is scheduled already gets the new interval. */
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

  /** Drops all, and waits for the checks under way. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of [...this.#scheduled.keys()]) this.drop(id);
    await Promise.all(this.#checks);
  }

  #enqueue(scheduled: Scheduled): void {
    this.#due.push(scheduled);
    this.#checkNext();
  }

  #checkNext(): void {
    while (this.#checks.size < MAX_CHECKS) {
      const scheduled = this.#due.shift();
      if (scheduled === undefined) return;
      const check = this.#check(scheduled);
      this.#checks.add(check);
      void check.finally(() => {
        this.#checks.delete(check);
        if (this.#isScheduled(scheduled)) this.#arm(scheduled);
        this.#checkNext();
      });
    }
  }

  async #check(scheduled: Scheduled): Promise<void> {
    using deadline = new Deadline(CHECK_MS, { clock: this.#options.clock, abort: scheduled.dropped.signal });
    await this.#options.check(scheduled.id, deadline.abortSignal);
  }

  #arm(scheduled: Scheduled): void {
    scheduled.cancelTimer?.();
    scheduled.cancelTimer = this.#options.clock.after(scheduled.intervalMs, () => {
      scheduled.cancelTimer = undefined;
      this.#enqueue(scheduled);
    });
  }

  /** It may have been dropped, and even added again, in the meantime. */
  #isScheduled(scheduled: Scheduled): boolean {
    return this.#scheduled.get(scheduled.id) === scheduled;
  }
}
