/**
 * Carries what a task writes to an output, without waiting for each piece: what comes while one write is under way goes
 * out with the next. Without it a task that writes short lines would be held up by a write for each of them. Holds 128 KiB
 * at most; then whoever brings more waits.
 */
import type { Output } from "./output.ts";

const BUFFER_BYTES = 64 * 1024;

export class OutputRelay {
  readonly #output: Pick<Output, "relay">;
  /** What waits stands at the beginning of `#filling`; `#spare` is empty, or being written. */
  #filling = new Uint8Array(BUFFER_BYTES);
  #spare = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  #writing: Promise<void> | undefined;
  readonly #failed = Promise.withResolvers<never>();
  #failure: { readonly error: unknown } | undefined;

  constructor(output: Pick<Output, "relay">) {
    this.#output = output;
    // Whoever does not watch it is told by `push` and `flush`.
    this.#failed.promise.catch(() => {});
  }

  /** Rejects as soon as a write has failed; never resolves. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /**
   * Takes a copy of the bytes; resolves when more may come.
   *
   * @throws what writing earlier ones threw
   */
  async push(bytes: Uint8Array): Promise<void> {
    for (let taken = 0; taken < bytes.length;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#filled === BUFFER_BYTES) {
        await this.#writing;
        continue;
      }
      const part = bytes.subarray(taken, taken + BUFFER_BYTES - this.#filled);
      this.#filling.set(part, this.#filled);
      this.#filled += part.length;
      taken += part.length;
      this.#write();
    }
  }

  /** Resolves when all of it is written. @throws what writing threw */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #write(): void {
    if (this.#writing !== undefined || this.#filled === 0) return;
    const bytes = this.#filling.subarray(0, this.#filled);
    [this.#filling, this.#spare] = [this.#spare, this.#filling];
    this.#filled = 0;
    this.#writing = this.#output.relay(bytes).then(
      () => this.#written(),
      (error) => {
        this.#writing = undefined;
        this.#failure = { error };
        this.#failed.reject(error);
      },
    );
  }

  #written(): void {
    this.#writing = undefined;
    this.#write();
  }
}
