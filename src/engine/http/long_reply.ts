/**
 * A long reply in many small chunks, for example a container's log, of which Docker sends each line as a chunk. `fetch`
 * delivers each chunk separately, at a cost of 11 µs; here, one read returns everything that the connection has.
 */
import { messageOf } from "../../platform/apex_error.ts";
import { closeQuietly } from "../../platform/unix_socket.ts";
import { ChunkedDecoder } from "./chunked_decoder.ts";
import { EngineError } from "./engine_error.ts";
import { type RawRequest, type ReplyHead, sendRawRequest } from "./raw_request.ts";

const READ_BYTES = 64 * 1024;

/**
 * Resolves with the body when the head of the reply arrives. The connection is closed at the end of the body and when
 * the body is cancelled. Reading throws an {@linkcode EngineError} when the connection breaks.
 * @throws {EngineError} for every status but 200, and when no reply arrives
 * @throws the reason of `abort` when it aborts
 */
export async function openLongReply(
  request: Omit<RawRequest, "method" | "headers">,
): Promise<ReadableStream<Uint8Array>> {
  const { conn, head } = await sendRawRequest({
    ...request,
    method: "GET",
    headers: { Connection: "close" },
  });
  const body = new LongBody(conn, head);
  return new ReadableStream({
    pull: (controller) => body.pull(controller),
    cancel: () => closeQuietly(conn),
  }, { highWaterMark: 0 });
}

class LongBody {
  readonly #conn: Deno.UnixConn;
  readonly #chunks: ChunkedDecoder | undefined;
  /** Undefined: until the end of the connection. */
  #bytesLeft: number | undefined;
  readonly #buffer = new Uint8Array(READ_BYTES);
  /** Bytes that arrived together with the head. */
  #rest: Uint8Array;

  constructor(conn: Deno.UnixConn, head: ReplyHead) {
    this.#conn = conn;
    this.#chunks = head.isChunked ? new ChunkedDecoder() : undefined;
    this.#bytesLeft = head.isChunked ? undefined : head.bodyBytes;
    this.#rest = head.rest;
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    try {
      for (let isEmpty = true; isEmpty && !this.#isDone;) {
        const bytes = this.#decode(await this.#read());
        isEmpty = bytes.length === 0;
        if (!isEmpty) controller.enqueue(bytes);
      }
    } catch (error) {
      closeQuietly(this.#conn);
      throw new EngineError(`the connection to the engine broke during a reply: ${messageOf(error)}`, {
        cause: error,
      });
    }
    if (!this.#isDone) return;
    closeQuietly(this.#conn);
    controller.close();
  }

  get #isDone(): boolean {
    return this.#chunks?.isDone ?? this.#bytesLeft === 0;
  }

  #decode(bytes: Uint8Array): Uint8Array {
    if (this.#chunks !== undefined) return this.#chunks.push(bytes);
    if (this.#bytesLeft !== undefined) this.#bytesLeft -= bytes.length;
    return bytes;
  }

  async #read(): Promise<Uint8Array> {
    const rest = this.#rest;
    this.#rest = new Uint8Array(0);
    if (rest.length > 0) return rest;
    const buffer = this.#buffer.subarray(0, this.#bytesLeft);
    const count = await this.#conn.read(buffer);
    // A copy, so that a caller that keeps a few bytes does not keep the whole buffer.
    if (count !== null) return buffer.slice(0, count);
    if (this.#chunks !== undefined || this.#bytesLeft !== undefined) {
      throw new Error("the connection ended too early");
    }
    this.#bytesLeft = 0;
    return new Uint8Array(0);
  }
}
