import type { Clock } from "../platform/clock.ts";

/** A timer that is asked to wait longer rings at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface TaskTimeoutOptions {
  /** From the start; undefined: as long as it takes. */
  readonly timeoutMs: number | undefined;
  readonly clock: Clock;
  readonly onTimeout: () => void;
}

/** Calls `onTimeout` when a task has run for too long. */
export class TaskTimeout implements Disposable {
  readonly #options: TaskTimeoutOptions;
  #cancel: (() => void) | undefined;
  #isDisposed = false;

  constructor(options: TaskTimeoutOptions) {
    this.#options = options;
  }

  /** In place of what was set before. One that is over already is told of soon, not inside this call. */
  arm(startedAt: Date | undefined): void {
    const { timeoutMs, clock, onTimeout } = this.#options;
    if (timeoutMs === undefined || startedAt === undefined || this.#isDisposed) return;
    const leftMs = Math.max(0, startedAt.getTime() + timeoutMs - clock.now());
    this.#cancel?.();
    this.#cancel = leftMs > MAX_TIMER_MS
      ? clock.after(MAX_TIMER_MS, () => this.arm(startedAt))
      : clock.after(leftMs, onTimeout);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#cancel?.();
  }
}
