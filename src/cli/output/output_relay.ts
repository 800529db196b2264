/**
 * Relays the output of a task without waiting for each write: bytes that arrive during a write are collected for the next
 * one. Otherwise every short line would cost a write of its own. Holds up to 128 KiB in two buffers; when both are full,
 * `push` waits.
 */
import type { Output } from "../standard_streams.ts";

const BUFFER_BYTES = 64 * 1024;

export class OutputRelay {
  readonly #output: Pick<Output, "relay">;
  /** The first `#filled` bytes wait for the next write. */
  #filling = new Uint8Array(BUFFER_BYTES);
  /** Empty, or being written. */
  #spare = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  #writing: Promise<void> | undefined;
  readonly #failed = Promise.withResolvers<never>();
  #failure: { readonly error: unknown } | undefined;

  constructor(output: Pick<Output, "relay">) {
    this.#output = output;
    // Callers that do not watch `failed` get the error from `push` and `flush`.
    this.#failed.promise.catch(() => {});
  }

  /** Rejects when a write fails; never resolves. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /**
   * Copies the bytes into the buffer, and resolves when they fit.
   *
   * @throws the error of an earlier write
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

  /** Resolves when everything is written. @throws the error of a write */
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
      () => {
        this.#writing = undefined;
        this.#write();
      },
      (error) => {
        this.#writing = undefined;
        this.#failure = { error };
        this.#failed.reject(error);
      },
    );
  }
}
