/** The client's side of `events.socket`. Lines are passed on in pieces, without decoding them, so that a pipeline is fast. */
import { MAX_EVENT_BYTES } from "../protocol/jsonl.ts";
import { connect, type ConnectOptions } from "./connect.ts";
import { LineChunks } from "./line_chunks.ts";

/**
 * How a stream of events ended. `shutdown`: the daemon has ended, and unlinked its socket first. `cut`: the socket still exists,
 * so the daemon disconnected this subscriber as too slow, or was killed.
 */
export type EventsEnd = "shutdown" | "cut";

/** @throws as {@linkcode connect} does */
export async function openEvents(socketPath: string, options: ConnectOptions = {}): Promise<EventStream> {
  return new EventStream(await connect(socketPath, options), socketPath);
}

/** A connection to `events.socket`, which it owns. Disposing it ends a pending {@linkcode next}. */
export class EventStream implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #socketPath: string;
  readonly #chunks: LineChunks;
  #closed = false;

  constructor(conn: Deno.Conn, socketPath: string) {
    this.#conn = conn;
    this.#socketPath = socketPath;
    this.#chunks = new LineChunks(conn, { socketPath, maxLineBytes: MAX_EVENT_BYTES });
  }

  /**
   * One or more whole lines, valid until the next call, or how the stream ended. An unfinished last line is dropped.
   *
   * @throws {ApexError} `protocol` for a line above the limit
   */
  async next(): Promise<Uint8Array | EventsEnd> {
    return await this.#chunks.next() ?? await this.#howItEnded();
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  async #howItEnded(): Promise<EventsEnd> {
    // The daemon ended in the middle of a line: this reader was too slow.
    if (this.#chunks.isMidLine) return "cut";
    try {
      await Deno.lstat(this.#socketPath);
      return "cut";
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "shutdown";
      throw error;
    }
  }
}
