const FIRST_BYTES = 1024;

/**
 * Keeps the last bytes of a long output that arrives in pieces. Its memory grows with the output, up to twice the
 * limit.
 */
export class ByteTail {
  readonly #maxBytes: number;
  #buffer = new Uint8Array(FIRST_BYTES);
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Appends a copy of `chunk`, or of the part of it that is needed. */
  push(chunk: Uint8Array): void {
    const added = chunk.subarray(Math.max(chunk.length - this.#maxBytes, 0));
    if (this.#length + added.length > this.#buffer.length) this.#makeRoom(added.length);
    this.#buffer.set(added, this.#length);
    this.#length += added.length;
  }

  /** Returns a copy of the last `maxBytes` bytes, or of all when there were fewer. */
  bytes(): Uint8Array {
    return this.#buffer.slice(Math.max(this.#length - this.#maxBytes, 0), this.#length);
  }

  #makeRoom(bytes: number): void {
    const kept = this.#buffer.subarray(Math.max(this.#length + bytes - this.#maxBytes, 0), this.#length);
    // Twice the needed size, so that as many bytes can arrive before the next move.
    const size = 2 * (kept.length + bytes);
    if (size > this.#buffer.length) {
      const larger = new Uint8Array(size);
      larger.set(kept);
      this.#buffer = larger;
    } else {
      this.#buffer.set(kept);
    }
    this.#length = kept.length;
  }
}
