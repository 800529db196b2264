import { type Clock, systemClock } from "../clock.ts";

export interface DeadlineOptions {
  /** Default: the machine's clock. */
  readonly clock?: Clock;
  /** The caller's signal. */
  readonly abort?: AbortSignal | undefined;
}

/** The reason of a signal whose {@linkcode Deadline} has passed. */
export class DeadlineExceeded extends Error {
  override readonly name: string = "DeadlineExceeded";
  readonly timeoutMs: number;

  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs / 1000} s`);
    this.timeoutMs = timeoutMs;
  }
}

/**
 * A time limit for work that takes an AbortSignal. Disposal stops the timer and removes the listener from the caller's
 * signal. (`AbortSignal.any` would leave some 100 bytes per request on a signal that lives as long as the daemon.)
 */
export class Deadline implements Disposable {
  readonly #controller = new AbortController();
  readonly #cancelTimer: (() => void) | undefined;
  readonly #abort: AbortSignal | undefined;

  /** Starts it. @param timeoutMs 0: no limit, the signal only follows the caller's */
  constructor(timeoutMs: number, { clock = systemClock, abort }: DeadlineOptions = {}) {
    this.#abort = abort;
    if (abort?.aborted) this.#follow();
    abort?.addEventListener("abort", this.#follow, { once: true });
    if (timeoutMs === 0) return;
    this.#cancelTimer = clock.after(
      timeoutMs,
      () => this.#controller.abort(new DeadlineExceeded(timeoutMs)),
    );
  }

  /** Aborts with the caller's signal, or with a {@linkcode DeadlineExceeded} when the time is up. */
  get abortSignal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Stops the timer: from now on, only the caller's signal aborts. */
  lift(): void {
    this.#cancelTimer?.();
  }

  [Symbol.dispose](): void {
    this.lift();
    this.#abort?.removeEventListener("abort", this.#follow);
  }

  readonly #follow = (): void => this.#controller.abort(this.#abort?.reason);
}
