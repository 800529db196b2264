/**
 * What a terminal was sent and has not been parsed yet, in order, and between it whatever has to happen at just that
 * place. Bytes are copied into blocks, so that many small writes take no more memory than one large one.
 */

/** Room for some bytes; a short output is no reason to take a whole block. */
interface Block {
  readonly bytes: Uint8Array;
  length: number;
}

type Item = Block | (() => void);

const BLOCK_BYTES = 16 * 1024;
const FIRST_BLOCK_BYTES = 1024;
/** Items gone through that the list may hold on to: a queue that never runs empty must not keep everything. */
const MAX_TAKEN_ITEMS = 64;

export class ParseQueue {
  #items: Item[] = [];
  /** Index of the first item that is still to come. */
  #next = 0;
  #pendingBytes = 0;

  /** Bytes that nobody has taken yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get isEmpty(): boolean {
    return this.#next === this.#items.length;
  }

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

  /** Calls it when all bytes before it have been taken. */
  pushCall(call: () => void): void {
    this.#items.push(call);
  }

  /** The next bytes, at most a block; or the next call; undefined: none. */
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
