/**
 * Decodes the output of a container, as the engine sends it over one connection. A container with a terminal has one
 * stream, sent raw. For other containers, stdout and stderr are sent in frames: a header of 8 bytes (stream number,
 * three zeros, payload length as big-endian u32), then the payload. A chunk of the body is not a frame.
 */
import { EngineError } from "../http/engine_error.ts";
import { cancelOnAbort, cancelReader } from "../http/reply_body.ts";

/** A piece of output, never empty. It need not be a line, nor a single write of the program. */
export interface LogChunk {
  readonly stream: "stdout" | "stderr";
  readonly bytes: Uint8Array;
  /** Whether a frame begins with this piece. Only set with {@linkcode ReadLogOptions.apart}. */
  readonly startsFrame?: boolean;
}

export interface ReadLogOptions {
  /** The container has a terminal: the body is raw, and all of it is stdout. */
  readonly tty: boolean;
  /** Keeps frames apart: with timestamps, the engine begins each frame with one. */
  readonly apart?: boolean;
  /** Ends the iteration, which throws its reason. */
  readonly abort?: AbortSignal | undefined;
}

const HEADER_BYTES = 8;
/** The stream on which the engine reports an error of its own, as text. */
const ENGINE_ERROR_STREAM = 3;
const MAX_ENGINE_ERROR_BYTES = 4 * 1024;

/**
 * Splits output into frames. Payloads are passed on as they arrive, however long the frame is, so the demuxer never
 * holds more than a header.
 */
export class LogDemuxer {
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  /** The frame that the last chunk left open. */
  #stream = 0;
  #remaining = 0;
  readonly #engineError: number[] = [];
  readonly #apart: boolean;

  constructor({ apart = false }: Pick<ReadLogOptions, "apart"> = {}) {
    this.#apart = apart;
  }

  /**
   * Returns the output in the next bytes, with adjacent pieces of one stream joined.
   * @param chunk is overwritten: the results are parts of it
   * @throws {EngineError} when the bytes are not frames, or when the engine reports an error
   */
  push(chunk: Uint8Array): LogChunk[] {
    const output: LogChunk[] = [];
    let groupStart = 0;
    let groupEnd = 0;
    let groupStream = 0;
    let startsFrame = false;
    const endGroup = (): void => {
      if (groupEnd > groupStart) {
        const stream = groupStream === 2 ? "stderr" : "stdout";
        const bytes = chunk.subarray(groupStart, groupEnd);
        output.push(startsFrame ? { stream, bytes, startsFrame } : { stream, bytes });
      }
      groupStart = groupEnd;
      startsFrame = false;
    };
    for (let at = 0; at < chunk.length;) {
      if (this.#remaining === 0) {
        at = this.#readHeader(chunk, at);
        if (this.#apart && this.#remaining > 0) {
          endGroup();
          groupStream = this.#stream;
          startsFrame = true;
        }
        continue;
      }
      const end = Math.min(chunk.length, at + this.#remaining);
      if (this.#stream === ENGINE_ERROR_STREAM) {
        const room = MAX_ENGINE_ERROR_BYTES - this.#engineError.length;
        this.#engineError.push(...chunk.subarray(at, Math.min(end, at + room)));
      } else {
        if (this.#stream !== groupStream) {
          endGroup();
          groupStream = this.#stream;
        }
        chunk.copyWithin(groupEnd, at, end);
        groupEnd += end - at;
      }
      this.#remaining -= end - at;
      at = end;
      if (this.#remaining === 0 && this.#stream === ENGINE_ERROR_STREAM) this.#throwEngineError();
    }
    endGroup();
    return output;
  }

  /**
   * Call it at the end of the body.
   * @throws {EngineError} when the body ended in the middle of a frame
   */
  end(): void {
    if (this.#headerBytes > 0 || this.#remaining > 0) {
      throw new EngineError("the connection to the engine broke in the middle of a container's output");
    }
  }

  /** Reads the header, or the available part of it. Returns the position behind it. */
  #readHeader(chunk: Uint8Array, start: number): number {
    const end = Math.min(chunk.length, start + HEADER_BYTES - this.#headerBytes);
    for (let at = start; at < end; at++) this.#header[this.#headerBytes++] = chunk[at] ?? 0;
    if (this.#headerBytes < HEADER_BYTES) return end;
    this.#headerBytes = 0;
    const [stream = 0, a, b, c, l0 = 0, l1 = 0, l2 = 0, l3 = 0] = this.#header;
    if (stream > ENGINE_ERROR_STREAM || a !== 0 || b !== 0 || c !== 0) {
      throw new EngineError("the engine's output of a container without a terminal is not in frames");
    }
    // 0 is the echo of stdin. It goes to stdout, as in Docker's own clients.
    this.#stream = stream === 0 ? 1 : stream;
    this.#remaining = l0 * 0x1000000 + (l1 << 16) + (l2 << 8) + l3;
    return end;
  }

  #throwEngineError(): never {
    const reason = new TextDecoder().decode(Uint8Array.from(this.#engineError)).trim();
    throw new EngineError(`the engine cannot read the container's output: ${reason}`, {
      engineMessage: reason,
    });
  }
}

/**
 * Returns the output in one body, in order; iterate only once. Ends with the body; throws what reading it throws.
 * Leaving the iteration cancels the body.
 */
export function readLog(
  body: ReadableStream<Uint8Array>,
  options: ReadLogOptions,
): AsyncIterableIterator<LogChunk, undefined> {
  return new LogIterator(body.getReader(), options);
}

/** A hand-written iterator: the `return` of a generator would wait for the pending read. */
class LogIterator implements AsyncIterableIterator<LogChunk, undefined> {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #abort: AbortSignal | undefined;
  /** Undefined for raw output. */
  readonly #demuxer: LogDemuxer | undefined;
  /** Decoded pieces that were not requested yet, the last one first: at most what one read returned. */
  #ready: LogChunk[] = [];
  readonly #release: () => void;

  constructor(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    { tty, apart = false, abort }: ReadLogOptions,
  ) {
    this.#reader = reader;
    this.#abort = abort;
    this.#demuxer = tty ? undefined : new LogDemuxer({ apart });
    this.#release = cancelOnAbort(reader, abort);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<LogChunk, undefined>> {
    while (true) {
      const chunk = this.#ready.pop();
      if (chunk !== undefined) return { done: false, value: chunk };
      try {
        const { done, value } = await this.#reader.read();
        this.#abort?.throwIfAborted();
        if (done) {
          this.#release();
          this.#demuxer?.end();
          return { done: true, value: undefined };
        }
        if (this.#demuxer !== undefined) this.#ready = this.#demuxer.push(value).reverse();
        else if (value.length > 0) return { done: false, value: { stream: "stdout", bytes: value } };
      } catch (error) {
        await this.return();
        throw error;
      }
    }
  }

  async return(): Promise<IteratorResult<LogChunk, undefined>> {
    this.#release();
    this.#ready = [];
    await cancelReader(this.#reader);
    return { done: true, value: undefined };
  }
}
