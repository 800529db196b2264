export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** 0 ≤ x < 1; default `Math.random`. */
  readonly random?: () => number;
}

/**
 * Exponential backoff with jitter: each delay is twice as long as the one before, up to a maximum, and lasts between half
 * and all of that, so that clients that lost the same peer do not all return at once.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  #nextMs: number;

  constructor(options: BackoffOptions) {
    this.#options = options;
    this.#nextMs = options.firstMs;
  }

  /** The next delay, in milliseconds. */
  next(): number {
    const { maxMs, random = Math.random } = this.#options;
    const fullMs = this.#nextMs;
    this.#nextMs = Math.min(maxMs, fullMs * 2);
    return fullMs * (0.5 + 0.5 * random());
  }

  /** Call it after a success: the next delay is the shortest again. */
  reset(): void {
    this.#nextMs = this.#options.firstMs;
  }
}
