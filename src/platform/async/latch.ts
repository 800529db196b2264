/**
 * A latch opens once, with a value; any number of callers may wait for it. A wait that is aborted leaves nothing behind: a
 * plain promise would keep its reactions until it settles, and a task may run for months.
 */
export class Latch<T> {
  readonly #opened = Promise.withResolvers<T>();
  readonly #waiting = new Set<(value: T) => void>();
  #result: { readonly value: T } | undefined;

  /** Resolves when the latch opens. For callers that live as long as the latch. */
  get promise(): Promise<T> {
    return this.#opened.promise;
  }

  /** How many calls of {@linkcode until} wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Only the first call counts. */
  open(value: T): void {
    if (this.#result !== undefined) return;
    this.#result = { value };
    this.#opened.resolve(value);
    for (const resolve of this.#waiting) resolve(value);
  }

  /** Resolves when the latch opens. @throws the reason of `abort` when that aborts first */
  async until(abort: AbortSignal): Promise<T> {
    abort.throwIfAborted();
    if (this.#result !== undefined) return this.#result.value;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const onAbort = (): void => reject(abort.reason);
    abort.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(resolve);
    try {
      return await promise;
    } finally {
      this.#waiting.delete(resolve);
      abort.removeEventListener("abort", onAbort);
    }
  }
}
