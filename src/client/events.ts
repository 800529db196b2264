/**
 * The client's side of events.socket. Bytes go through as they came, in batches of whole lines; no line is looked into,
 * so that a pipeline is as fast as its slowest other part. Owns its connection and one buffer.
 */
import { MAX_EVENT_BYTES } from "../protocol/jsonl.ts";
import { connect, type ConnectOptions } from "./connect.ts";
import { LineChunks } from "./line_chunks.ts";

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
  readonly #chunks: LineChunks;
  #closed = false;

  constructor(conn: Deno.Conn, socketPath: string) {
    this.#conn = conn;
    this.#socketPath = socketPath;
    this.#chunks = new LineChunks(conn, { socketPath, maxLineBytes: MAX_EVENT_BYTES });
  }

  /**
   * One or more whole lines, good until the next call, or how the stream ended. A last line without its LF is
   * discarded: it was cut off.
   *
   * @throws {ApexError} `protocol` when a line is longer than any that apex sends.
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
    // The daemon ended without waiting any longer for this reader.
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
