/**
 * Reads HTTP/1.1 requests from one connection. Owns the connection's reading side, and a buffer of bytes that were read
 * ahead. Head, chunk lines, body and read-ahead are all bounded. While a request is answered, `watch` keeps one read
 * pending, and so notices when the client hangs up.
 */
import { concat } from "@std/bytes/concat";
import { settlesWithin } from "../../platform/async/wait.ts";
import { HttpError } from "./http_message.ts";
import {
  bodySize,
  BodyTooLarge,
  decodeChunkedBody,
  lineAt,
  MAX_SIZE_LINE_BYTES,
  MAX_TRAILER_BYTES,
  parseChunkSize,
  parseHead,
  type RequestHead,
} from "./request_parser.ts";

/** Enough for any real client; nginx and Go have similar limits. */
export const MAX_HEAD_BYTES = 64 * 1024;
/** A create request with a very large environment is below 1 MiB. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024;
/** How much is buffered while an earlier request is answered. */
const MAX_READ_AHEAD_BYTES = MAX_HEAD_BYTES;
const READ_SIZE_BYTES = 16 * 1024;

export class RequestReader {
  readonly #connection: Deno.Conn;
  #buffer: Uint8Array = new Uint8Array(0);
  #ended = false;
  #filling: Promise<void> | undefined;

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** Waits for the first byte of the next request; false when the client ended its side instead. */
  async arrives(): Promise<boolean> {
    while (this.#buffer.length === 0 && !this.#ended) await this.#fill();
    return this.#buffer.length > 0;
  }

  /** @throws {HttpError} 400 for a malformed head, 431 for a head above {@linkcode MAX_HEAD_BYTES} */
  async readHead(): Promise<RequestHead> {
    let searched = 0;
    for (;;) {
      // RFC 9112, 2.2: empty lines before a request are ignored.
      while (this.#buffer[0] === CR || this.#buffer[0] === LF) this.#take(1);
      const end = indexOfHeadEnd(this.#buffer, searched);
      if (end > MAX_HEAD_BYTES || (end < 0 && this.#buffer.length > MAX_HEAD_BYTES)) {
        throw new HttpError(431, `request head is larger than ${MAX_HEAD_BYTES} bytes`);
      }
      if (end >= 0) return parseHead(new TextDecoder("latin1").decode(this.#take(end)));
      searched = Math.max(0, this.#buffer.length - 3);
      await this.#need("a request head");
    }
  }

  /**
   * Reads the whole body that `head` announces.
   * @throws {HttpError} 400 for a malformed or cut body, 413 for one above {@linkcode MAX_BODY_BYTES}
   */
  async readBody(head: RequestHead): Promise<Uint8Array> {
    const size = bodySize(head);
    if (size === "chunked") return await this.#readChunked();
    if (size > MAX_BODY_BYTES) {
      throw new HttpError(413, `request body is larger than ${MAX_BODY_BYTES} bytes`);
    }
    while (this.#buffer.length < size) await this.#need("a request body");
    return this.#take(size);
  }

  /**
   * Reads and drops the body that `head` announces, whatever its size.
   * @throws {HttpError} 400 for a malformed or cut body
   */
  async discardBody(head: RequestHead): Promise<void> {
    const size = bodySize(head);
    if (size !== "chunked") return await this.#discard(size);
    try {
      for (let chunk = await this.#chunkSize(); chunk > 0; chunk = await this.#chunkSize()) {
        await this.#discard(chunk);
        if (await this.#readLine(2) !== "") throw new SyntaxError("malformed chunk in the request body");
      }
      while (await this.#readLine(MAX_TRAILER_BYTES) !== "");
    } catch (error) {
      if (error instanceof SyntaxError) throw new HttpError(400, error.message, { cause: error });
      throw error;
    }
  }

  /**
   * Calls `hungUp` once if the client ends its side before `abort` aborts. Bytes that it sends until then are buffered,
   * within bounds. Go's server, and so Docker, also takes the end of the client's side for a hang-up.
   */
  async watch(hungUp: () => void, abort: AbortSignal): Promise<void> {
    while (!this.#ended && !abort.aborted && this.#buffer.length < MAX_READ_AHEAD_BYTES) {
      await settlesWithin(this.#fill(), { abort });
    }
    if (this.#ended && !abort.aborted) hungUp();
  }

  /** Raw bytes after an upgrade, those that were read ahead first; undefined at the end. */
  async readSome(): Promise<Uint8Array | undefined> {
    return await this.arrives() ? this.#take(this.#buffer.length) : undefined;
  }

  /** Resolves when no read is in flight. Closing the connection ends a read. */
  async settled(): Promise<void> {
    await this.#filling;
  }

  async #readChunked(): Promise<Uint8Array> {
    for (;;) {
      let decoded: ReturnType<typeof decodeChunkedBody>;
      try {
        decoded = decodeChunkedBody(this.#buffer, MAX_BODY_BYTES);
      } catch (error) {
        if (error instanceof BodyTooLarge) throw new HttpError(413, error.message, { cause: error });
        if (error instanceof SyntaxError) throw new HttpError(400, error.message, { cause: error });
        throw error;
      }
      if (decoded !== undefined) {
        this.#take(decoded.consumedBytes);
        return decoded.body;
      }
      await this.#need("a chunked request body");
    }
  }

  async #chunkSize(): Promise<number> {
    return parseChunkSize(await this.#readLine(MAX_SIZE_LINE_BYTES));
  }

  async #readLine(maxBytes: number): Promise<string> {
    for (;;) {
      const line = lineAt(this.#buffer, 0, maxBytes);
      if (line !== undefined) {
        this.#take(line.next);
        return line.text;
      }
      await this.#need("a chunked request body");
    }
  }

  async #discard(size: number): Promise<void> {
    for (let left = size; left > 0;) {
      if (this.#buffer.length === 0) await this.#need("a request body");
      left -= this.#take(Math.min(left, this.#buffer.length)).length;
    }
  }

  async #need(what: string): Promise<void> {
    if (this.#ended) throw new HttpError(400, `the connection ended inside ${what}`);
    await this.#fill();
  }

  /** One read from the socket; callers share the one that is in flight. */
  #fill(): Promise<void> {
    this.#filling ??= this.#readOnce().finally(() => this.#filling = undefined);
    return this.#filling;
  }

  async #readOnce(): Promise<void> {
    const chunk = new Uint8Array(READ_SIZE_BYTES);
    // After a failed read (a reset, or our own close) no more bytes can arrive, so it counts as the end.
    const count = await this.#connection.read(chunk).catch(() => null);
    if (count === null) {
      this.#ended = true;
      return;
    }
    this.#buffer = concat([this.#buffer, chunk.subarray(0, count)]);
  }

  #take(count: number): Uint8Array {
    const taken = this.#buffer.slice(0, count);
    this.#buffer = this.#buffer.subarray(count);
    return taken;
  }
}

/** Whether an error means that the peer disconnected, or that we closed the connection ourselves. */
export function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.NotConnected;
}

const CR = 13;
const LF = 10;

/** Offset just after the empty line that ends the head, or -1. */
function indexOfHeadEnd(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return -1;
}
