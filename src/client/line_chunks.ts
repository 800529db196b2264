import { ApexError } from "../platform/apex_error.ts";
import { type ByteSource, enlarged } from "../protocol/jsonl.ts";

export interface LineChunksOptions {
  /** For messages. */
  readonly socketPath: string;
  readonly maxLineBytes: number;
  /** Bytes that were read earlier. */
  readonly rest?: Uint8Array;
}

const LF = 0x0a;
/** The daemon writes pieces of this size. */
const READ_BYTES = 64 * 1024;

/**
 * Cuts a source of bytes into pieces of whole lines, without decoding them. Owns one buffer. In a file of its own, so that the
 * bare `apex events` does not load the schemas of control replies.
 */
export class LineChunks {
  readonly #source: ByteSource;
  readonly #options: LineChunksOptions;
  #buffer = new Uint8Array(READ_BYTES);
  /** The unfinished line is at `#start` … `#end`; the bytes before it were returned. */
  #start = 0;
  #end = 0;
  /** Bytes that were read earlier and are not in the buffer yet. */
  #rest: Uint8Array;

  constructor(source: ByteSource, options: LineChunksOptions) {
    this.#source = source;
    this.#options = options;
    this.#rest = options.rest ?? new Uint8Array(0);
  }

  /** The last line is unfinished. */
  get isMidLine(): boolean {
    return this.#end > this.#start;
  }

  /**
   * One or more whole lines, valid until the next call; null at the end. An unfinished last line is dropped.
   *
   * @throws {ApexError} `protocol` for a line longer than `maxLineBytes`
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
      // The daemon was killed while it had unread bytes of ours: nothing more comes, as after a normal end.
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    }
  }
}
