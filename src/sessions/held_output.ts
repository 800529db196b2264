import { concat } from "@std/bytes/concat";

/** With more held output the terminal's stream is not read, so the engine, and then the container, blocks. */
const FULL_BYTES = 4 * 1024 * 1024;

/** A gate for a terminal's output. It passes output on immediately, or, while it is held, when the last hold is released. */
export class HeldOutput {
  readonly #pass: (output: Uint8Array) => void;
  #holds = 0;
  #chunks: Uint8Array[] = [];
  #length = 0;

  constructor(pass: (output: Uint8Array) => void) {
    this.#pass = pass;
  }

  get isFull(): boolean {
    return this.#length > FULL_BYTES;
  }

  /** Passes output on, or holds a copy of it. */
  push(output: Uint8Array): void {
    if (this.#holds === 0) return this.#pass(output);
    this.#chunks.push(output.slice());
    this.#length += output.length;
  }

  /** Holds output until {@linkcode release} has been called as often as this method. */
  hold(): void {
    this.#holds++;
  }

  release(): void {
    if (--this.#holds > 0) return;
    const chunks = this.#chunks;
    this.clear();
    for (const output of chunks) this.#pass(output);
  }

  /** Returns a copy of all output that is held. */
  bytes(): Uint8Array {
    return concat(this.#chunks);
  }

  /** Drops the output that is held. */
  clear(): void {
    this.#chunks = [];
    this.#length = 0;
  }
}
