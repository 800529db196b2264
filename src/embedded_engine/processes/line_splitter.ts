import { concat } from "@std/bytes/concat";

/** Cuts one output stream into log payloads: lines with their newline, longer ones in pieces. Holds at most one piece. */
export class LineSplitter {
  readonly #maxBytes: number;
  #partial: Uint8Array = new Uint8Array(0);

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The payloads that `chunk` completes. */
  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = concat([this.#partial, chunk]);
    const payloads: Uint8Array[] = [];
    let at = 0;
    for (;;) {
      const newline = bytes.indexOf(NEWLINE, at);
      const end = Math.min(newline < 0 ? bytes.length : newline + 1, at + this.#maxBytes);
      if (newline < 0 && end - at < this.#maxBytes) break;
      payloads.push(bytes.subarray(at, end));
      at = end;
    }
    this.#partial = bytes.slice(at);
    return payloads;
  }

  /** A copy of the line that has not ended yet. */
  get partial(): Uint8Array {
    return this.#partial.slice();
  }

  /** What is left of a line that never ended; empty when there is none. */
  flush(): Uint8Array {
    const partial = this.#partial;
    this.#partial = new Uint8Array(0);
    return partial;
  }
}

const NEWLINE = 10;
