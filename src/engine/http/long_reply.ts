/**
 * A long reply in many small chunks, a container's log for example: Docker sends each line as a chunk of its own. `fetch`
 * hands over each of them by itself, which costs 11 µs; here a read brings what the connection has.
 */
import { messageOf } from "../../platform/apex_error.ts";
import { closeQuietly } from "../../platform/unix_socket.ts";
import { ChunkedDecoder } from "./chunked_decoder.ts";
import { EngineError } from "./engine_error.ts";
import { type RawRequest, type ReplyHead, sendRawRequest } from "./raw_request.ts";

const READ_BYTES = 64 * 1024;

/**
 * Resolves with the body when the reply's head is here. The body's end or cancellation closes the connection; reading it
 * throws an {@linkcode EngineError} when the engine breaks off.
 * @throws {EngineError} for every status but 200, and when no reply comes
 * @throws the signal's reason when it aborts
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
  /** Undefined: up to the connection's end. */
  #bytesLeft: number | undefined;
  readonly #buffer = new Uint8Array(READ_BYTES);
  /** It came together with the head. */
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
      throw new EngineError(`the engine broke off its reply: ${messageOf(error)}`, { cause: error });
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
    // A copy: whoever keeps a few bytes is not to keep the whole buffer.
    if (count !== null) return buffer.slice(0, count);
    if (this.#chunks !== undefined || this.#bytesLeft !== undefined) {
      throw new Error("the connection ended before it");
    }
    this.#bytesLeft = 0;
    return new Uint8Array(0);
  }
}
