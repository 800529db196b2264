export interface JitteredBackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

/**
 * How long to wait before trying again: each time twice as long, up to a limit. Each wait is between half and all of
 * that, so that many who lost the same peer do not come back at once.
 */
export class JitteredBackoff {
  readonly #options: JitteredBackoffOptions;
  #nextMs: number;

  constructor(options: JitteredBackoffOptions) {
    this.#options = options;
    this.#nextMs = options.firstMs;
  }

  /** The next wait, in milliseconds. */
  next(): number {
    const fullMs = this.#nextMs;
    this.#nextMs = Math.min(this.#options.maxMs, fullMs * 2);
    return fullMs * (0.5 + 0.5 * this.#options.random());
  }

  /** It worked: begin with the shortest wait again. */
  reset(): void {
    this.#nextMs = this.#options.firstMs;
  }
}
