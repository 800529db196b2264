/**
 * Something that is reached once, and that any number may wait for, each for as long as it likes. Who gives up leaves
 * nothing behind: a promise would keep what was hung on it until it settles, and a task may run for months.
 */
export class Milestone<T> {
  readonly #settled = Promise.withResolvers<T>();
  readonly #waiting = new Set<(value: T) => void>();
  #reached: { readonly value: T } | undefined;

  get promise(): Promise<T> {
    return this.#settled.promise;
  }

  /** How many wait by {@linkcode until}. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The first time counts. */
  reach(value: T): void {
    if (this.#reached !== undefined) return;
    this.#reached = { value };
    this.#settled.resolve(value);
    for (const resolve of this.#waiting) resolve(value);
  }

  /** Resolves when it is reached. @throws the signal's reason when that aborts first */
  async until(signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    if (this.#reached !== undefined) return this.#reached.value;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(resolve);
    try {
      return await promise;
    } finally {
      this.#waiting.delete(resolve);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
