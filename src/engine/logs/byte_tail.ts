const FIRST_BYTES = 1024;

/** The last bytes of something long, however small its pieces. Its memory grows with what came, up to twice the limit. */
export class ByteTail {
  readonly #maxBytes: number;
  #buffer = new Uint8Array(FIRST_BYTES);
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes a copy of what of it is needed. */
  push(chunk: Uint8Array): void {
    const added = chunk.subarray(Math.max(chunk.length - this.#maxBytes, 0));
    if (this.#length + added.length > this.#buffer.length) this.#makeRoom(added.length);
    this.#buffer.set(added, this.#length);
    this.#length += added.length;
  }

  /** A copy of the last `maxBytes` of all that came, or as many as there were. */
  bytes(): Uint8Array {
    return this.#buffer.slice(Math.max(this.#length - this.#maxBytes, 0), this.#length);
  }

  #makeRoom(bytes: number): void {
    const kept = this.#buffer.subarray(Math.max(this.#length + bytes - this.#maxBytes, 0), this.#length);
    // Twice as much as is needed: so many bytes have to come before anything is moved again.
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
