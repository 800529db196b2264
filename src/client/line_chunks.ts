import { ApexError } from "../platform/apex_error.ts";
import { type ByteSource, enlarged } from "../protocol/jsonl.ts";

export interface LineChunksOptions {
  /** For messages. */
  readonly socketPath: string;
  readonly maxLineBytes: number;
  /** What was read before. */
  readonly rest?: Uint8Array;
}

const LF = 0x0a;
/** As much as the daemon writes at once. */
const READ_BYTES = 64 * 1024;

/**
 * Splits a stream of bytes into pieces of whole lines, without decoding them. Owns one buffer. In a file of its own, so that
 * the bare `apex events` does not load the schemas of control replies.
 */
export class LineChunks {
  readonly #source: ByteSource;
  readonly #options: LineChunksOptions;
  #buffer = new Uint8Array(READ_BYTES);
  /** An unfinished line stands at `#start` … `#end`; what is before it has been handed out. */
  #start = 0;
  #end = 0;
  /** What was read before, and not looked at yet. */
  #rest: Uint8Array;

  constructor(source: ByteSource, options: LineChunksOptions) {
    this.#source = source;
    this.#options = options;
    this.#rest = options.rest ?? new Uint8Array(0);
  }

  /** The last line was cut off. */
  get isMidLine(): boolean {
    return this.#end > this.#start;
  }

  /**
   * One or more whole lines, good until the next call; null at the end. A last line without its LF is discarded: it was
   * cut off.
   *
   * @throws {ApexError} `protocol` when a line is longer than any that apex sends.
   */
  async next(): Promise<Uint8Array | null> {
    while (true) {
      this.#makeRoom();
      const count = await this.#read(this.#buffer.subarray(this.#end));
      if (count === null) return null;
      const newest = this.#buffer.subarray(this.#end, this.#end + count);
      const lastLineEnd = newest.lastIndexOf(LF);
      const linesEnd = this.#end + lastLineEnd + 1;
      this.#end += count;
      if (lastLineEnd >= 0) {
        this.#start = linesEnd;
        return this.#buffer.subarray(0, linesEnd);
      }
    }
  }

  #makeRoom(): void {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#end < this.#buffer.length) return;
    const { maxLineBytes, socketPath } = this.#options;
    if (this.#end >= maxLineBytes) {
      throw new ApexError("protocol", `${socketPath} sends lines of over ${maxLineBytes} bytes`);
    }
    this.#buffer = enlarged(this.#buffer, Math.min(this.#end * 2, maxLineBytes));
  }

  async #read(into: Uint8Array): Promise<number | null> {
    if (this.#rest.length > 0) {
      const count = Math.min(this.#rest.length, into.length);
      into.set(this.#rest.subarray(0, count));
      this.#rest = this.#rest.subarray(count);
      return count;
    }
    try {
      return await this.#source.read(into);
    } catch (error) {
      // The daemon was killed with bytes of ours unread; there is no more to come than after a plain end.
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    }
  }
}
