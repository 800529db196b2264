/**
 * The output of a terminal that the emulator has not parsed yet, in order, and the calls that must run at a certain place
 * between two bytes. Bytes are copied into blocks, which makes many small writes as cheap as one large write.
 */

interface Block {
  readonly bytes: Uint8Array;
  /** How many of the bytes are in use. */
  length: number;
}

type Item = Block | (() => void);

const BLOCK_BYTES = 16 * 1024;
/** For the first block of an empty queue: most outputs are short. */
const FIRST_BLOCK_BYTES = 1024;
/** Taken items that the list may still hold: a queue that never runs empty must release them, too. */
const MAX_TAKEN_ITEMS = 64;

export class ParseQueue {
  #items: Item[] = [];
  /** Index of the next item to take. */
  #next = 0;
  #pendingBytes = 0;

  /** How many bytes are in the queue. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get isEmpty(): boolean {
    return this.#next === this.#items.length;
  }

  /** Appends a copy of `bytes`. */
  push(bytes: Uint8Array): void {
    this.#pendingBytes += bytes.length;
    for (let at = 0; at < bytes.length;) {
      const block = this.#roomyBlock();
      const part = bytes.subarray(at, at + block.bytes.length - block.length);
      block.bytes.set(part, block.length);
      block.length += part.length;
      at += part.length;
    }
  }

  /** Appends a call, which {@linkcode take} returns after all bytes that were pushed before it. */
  pushCall(call: () => void): void {
    this.#items.push(call);
  }

  /** Removes and returns the next bytes (at most one block) or the next call; undefined if the queue is empty. */
  take(): Uint8Array | (() => void) | undefined {
    const item = this.#items[this.#next];
    if (item === undefined) return undefined;
    this.#next++;
    if (this.isEmpty || this.#next > MAX_TAKEN_ITEMS) {
      this.#items = this.#items.slice(this.#next);
      this.#next = 0;
    }
    if (typeof item === "function") return item;
    this.#pendingBytes -= item.length;
    return item.bytes.subarray(0, item.length);
  }

  #roomyBlock(): Block {
    const last = this.isEmpty ? undefined : this.#items.at(-1);
    if (typeof last === "object" && last.length < last.bytes.length) return last;
    const bytes = new Uint8Array(this.isEmpty ? FIRST_BLOCK_BYTES : BLOCK_BYTES);
    const block = { bytes, length: 0 };
    this.#items.push(block);
    return block;
  }
}
