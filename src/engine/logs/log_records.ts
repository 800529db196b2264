/**
 * The end of a container's output in one array of bytes: records, each one message of the engine's log (a line, or a piece of
 * a long one). A record is its text and then 13 bytes: the stream (1 or 2), the time (nanoseconds since the Unix epoch, as 64
 * bits), and the length of the text (32 bits), big-endian. The length is last, so the records can be found from the end of the
 * array, and its beginning may be cut off anywhere.
 */
import { ByteTail } from "./byte_tail.ts";
import type { LogChunk } from "./log_frames.ts";

/** One message of the engine's log. */
export interface LogRecord {
  readonly stream: LogChunk["stream"];
  /** Nanoseconds since the Unix epoch. */
  readonly timeNano: bigint;
  /** With its line feed, unless it is a piece of a line. */
  readonly text: Uint8Array;
}

const TRAILER_BYTES = 13;

/** The last records of a log, bounded in bytes. */
export class LogRecordTail {
  readonly #tail: ByteTail;
  readonly #maxBytes: number;
  #pushedBytes = 0;
  #textBytes = 0;

  /** @param maxBytes of the texts and of the 13 bytes that each record adds */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#tail = new ByteTail(maxBytes);
  }

  /** More came than it holds. */
  get isCut(): boolean {
    return this.#pushedBytes > this.#maxBytes;
  }

  /** Some of the text of the record that {@linkcode end} completes. */
  push(text: Uint8Array): void {
    this.#add(text);
    this.#textBytes += text.length;
  }

  end({ stream, timeNano }: Omit<LogRecord, "text">): void {
    const trailer = new Uint8Array(TRAILER_BYTES);
    const view = new DataView(trailer.buffer);
    view.setUint8(0, stream === "stderr" ? 2 : 1);
    view.setBigInt64(1, timeNano);
    view.setUint32(9, this.#textBytes);
    this.#add(trailer);
    this.#textBytes = 0;
  }

  /** For {@linkcode decodeLogRecords}. */
  bytes(): Uint8Array {
    return this.#tail.bytes();
  }

  #add(bytes: Uint8Array): void {
    this.#tail.push(bytes);
    this.#pushedBytes += bytes.length;
  }
}

/** The records, oldest first; of one whose beginning is cut off, what is left of its text. Texts are parts of `bytes`. */
export function decodeLogRecords(bytes: Uint8Array): LogRecord[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: LogRecord[] = [];
  for (let end = bytes.length; end > TRAILER_BYTES;) {
    const trailer = end - TRAILER_BYTES;
    const start = Math.max(0, trailer - view.getUint32(trailer + 9));
    records.push({
      stream: view.getUint8(trailer) === 2 ? "stderr" : "stdout",
      timeNano: view.getBigInt64(trailer + 1),
      text: bytes.subarray(start, trailer),
    });
    end = start;
  }
  return records.reverse();
}
