/** The last bytes of something long. Its memory grows with what came, and no further than twice the limit. */
export class ByteTail {
  readonly #maxBytes: number;
  #chunks: Uint8Array[] = [];
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @param chunk taken over */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length > 2 * this.#maxBytes) {
      this.#chunks = [this.bytes()];
      this.#length = this.#maxBytes;
    }
  }

  /** The last `maxBytes` of all that came, or as many as there were. */
  bytes(): Uint8Array {
    const tail = new Uint8Array(Math.min(this.#length, this.#maxBytes));
    let end = tail.length;
    for (let index = this.#chunks.length - 1; end > 0; index--) {
      const chunk = this.#chunks[index]!;
      const part = chunk.subarray(Math.max(chunk.length - end, 0));
      end -= part.length;
      tail.set(part, end);
    }
    return tail;
  }
}
