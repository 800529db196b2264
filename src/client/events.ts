/**
 * The client's side of events.socket. Bytes go through as they came, in batches of whole lines; no line is looked into,
 * so that a pipeline is as fast as its slowest other part. Owns its connection and one buffer.
 */
import { ApexError } from "../platform/apex_error.ts";
import { enlarged, MAX_EVENT_BYTES } from "../protocol/jsonl.ts";
import { connect, type ConnectOptions } from "./connect.ts";

/**
 * How a stream of events ended. `shutdown`: the daemon ended and took its socket away first. `cut`: the socket's path is
 * still there, so this subscriber was dropped as slow, or the daemon was killed.
 */
export type EventsEnd = "shutdown" | "cut";

/** @throws {ApexError} `no_daemon` when nobody listens there; the signal's reason when that is aborted. */
export async function openEvents(
  socketPath: string,
  options: ConnectOptions = {},
): Promise<EventStream> {
  return new EventStream(await connect(socketPath, options), socketPath);
}

/** One connection to events.socket. Disposing it ends a pending {@linkcode next}. */
export class EventStream implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #socketPath: string;
  #buffer = new Uint8Array(READ_BYTES);
  /** An unfinished line stands at `#start` … `#end`; what is before it has been handed out. */
  #start = 0;
  #end = 0;
  #closed = false;

  constructor(conn: Deno.Conn, socketPath: string) {
    this.#conn = conn;
    this.#socketPath = socketPath;
  }

  /**
   * One or more whole lines, good until the next call, or how the stream ended. A last line without its LF is
   * discarded: it was cut off.
   *
   * @throws {ApexError} `protocol` when a line is longer than any that apex sends.
   */
  async next(): Promise<Uint8Array | EventsEnd> {
    while (true) {
      this.#makeRoom();
      const count = await this.#read(this.#buffer.subarray(this.#end));
      if (count === null) return await this.#howItEnded();
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

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  #makeRoom(): void {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#end < this.#buffer.length) return;
    if (this.#end >= MAX_EVENT_BYTES) {
      throw new ApexError("protocol", `${this.#socketPath} sends lines of over ${MAX_EVENT_BYTES} bytes`);
    }
    this.#buffer = enlarged(this.#buffer, Math.min(this.#end * 2, MAX_EVENT_BYTES));
  }

  async #read(into: Uint8Array): Promise<number | null> {
    try {
      return await this.#conn.read(into);
    } catch (error) {
      // The daemon was killed with bytes of ours unread; there is no more to come than after a plain end.
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    }
  }

  async #howItEnded(): Promise<EventsEnd> {
    // Mid-line: the daemon ended without waiting any longer for this reader.
    if (this.#end > this.#start) return "cut";
    try {
      await Deno.lstat(this.#socketPath);
      return "cut";
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "shutdown";
      throw error;
    }
  }
}

const LF = 0x0a;
/** As much as the daemon writes at once. */
const READ_BYTES = 64 * 1024;
