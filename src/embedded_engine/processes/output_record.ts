/**
 * The form of a container's output in its log file. A record is the stream (u8), the time (u64 BE, ns), the length (u32 BE),
 * and a payload: a line with its newline, or a piece of a line that was too long or had not ended.
 */
import { concat } from "@std/bytes/concat";
import type { StdStream } from "./container_process.ts";

export interface OutputRecord {
  readonly stream: StdStream;
  readonly timeNano: bigint;
  readonly payload: Uint8Array;
}

export const RECORD_HEADER_BYTES = 13;
/** Docker cuts longer lines at the same length. */
export const MAX_PAYLOAD_BYTES = 16 * 1024;

const STREAM_NUMBER: Readonly<Record<StdStream, number>> = { stdout: 1, stderr: 2 };
const NEWLINE = 10;

export function encodeRecord(record: OutputRecord): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + record.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, STREAM_NUMBER[record.stream]);
  view.setBigUint64(1, record.timeNano);
  view.setUint32(9, record.payload.length);
  bytes.set(record.payload, RECORD_HEADER_BYTES);
  return bytes;
}

/** Decodes all complete records. `rest` is the beginning of a record that continues in the next block. */
export function decodeRecords(bytes: Uint8Array): { records: OutputRecord[]; rest: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: OutputRecord[] = [];
  let at = 0;
  while (at + RECORD_HEADER_BYTES <= bytes.length) {
    const end = at + RECORD_HEADER_BYTES + view.getUint32(at + 9);
    if (end > bytes.length) break;
    records.push({
      stream: view.getUint8(at) === STREAM_NUMBER.stderr ? "stderr" : "stdout",
      timeNano: view.getBigUint64(at + 1),
      payload: bytes.subarray(at + RECORD_HEADER_BYTES, end),
    });
    at = end;
  }
  return { records, rest: bytes.subarray(at) };
}

/**
 * The frame in which the API sends output of a container without a terminal: stream number, three zero bytes, length
 * (u32 BE), payload (Docker's "Stream format" of attach and logs).
 */
export function encodeStreamFrame(stream: StdStream, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(8 + payload.length);
  frame[0] = STREAM_NUMBER[stream];
  new DataView(frame.buffer).setUint32(4, payload.length);
  frame.set(payload, 8);
  return frame;
}

/** Cuts one output stream into payloads: lines with their newline, and longer ones in pieces. Buffers at most one piece. */
export class LineSplitter {
  readonly #maxBytes: number;
  #partial: Uint8Array = new Uint8Array(0);

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The payloads that `chunk` completes. */
  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = concat([this.#partial, chunk]);
    const payloads: Uint8Array[] = [];
    let at = 0;
    for (;;) {
      const newline = bytes.indexOf(NEWLINE, at);
      const end = Math.min(newline < 0 ? bytes.length : newline + 1, at + this.#maxBytes);
      if (newline < 0 && end - at < this.#maxBytes) break;
      payloads.push(bytes.subarray(at, end));
      at = end;
    }
    this.#partial = bytes.slice(at);
    return payloads;
  }

  /** A copy of the line that has not ended yet. */
  get partial(): Uint8Array {
    return this.#partial.slice();
  }

  /** Returns the unfinished line, which may be empty, and starts a new one. */
  flush(): Uint8Array {
    const partial = this.#partial;
    this.#partial = new Uint8Array(0);
    return partial;
  }
}
