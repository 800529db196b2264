/** More waits in the engine, and so the container does. */
const FULL_BYTES = 4 * 1024 * 1024;

/** A gate for what a terminal says: passes it on at once, or, while something holds it, when nothing does any more. */
export class HeldOutput {
  readonly #pass: (output: Uint8Array) => void;
  #holders = 0;
  #chunks: Uint8Array[] = [];
  #length = 0;

  constructor(pass: (output: Uint8Array) => void) {
    this.#pass = pass;
  }

  get isFull(): boolean {
    return this.#length > FULL_BYTES;
  }

  /** Takes a copy of what it holds. */
  take(output: Uint8Array): void {
    if (this.#holders === 0) return this.#pass(output);
    this.#chunks.push(output.slice());
    this.#length += output.length;
  }

  hold(): void {
    this.#holders++;
  }

  /** The last one to release it lets everything go. */
  release(): void {
    if (--this.#holders > 0) return;
    const chunks = this.#chunks;
    this.clear();
    for (const output of chunks) this.#pass(output);
  }

  /** All that is held. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  clear(): void {
    this.#chunks = [];
    this.#length = 0;
  }
}
