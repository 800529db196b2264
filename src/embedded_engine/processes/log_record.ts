/**
 * How a line of output stands in a container's log file: stream (u8), time (u64 BE, ns), length (u32 BE), payload.
 * A payload is a line with its newline, or a piece of one that was too long or had not ended.
 */
import type { OutputStream } from "./container_process.ts";

export interface LogRecord {
  readonly stream: OutputStream;
  readonly timeNano: bigint;
  readonly payload: Uint8Array;
}

export const RECORD_HEADER_BYTES = 13;
/** Docker cuts longer lines there as well. */
export const MAX_PAYLOAD_BYTES = 16 * 1024;

export function encodeRecord(record: LogRecord): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + record.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, STREAM_NUMBER[record.stream]);
  view.setBigUint64(1, record.timeNano);
  view.setUint32(9, record.payload.length);
  bytes.set(record.payload, RECORD_HEADER_BYTES);
  return bytes;
}

/** Decodes all records that are whole; `rest` is what is left for the next piece. */
export function decodeRecords(bytes: Uint8Array): { records: LogRecord[]; rest: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: LogRecord[] = [];
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
export function encodeFrame(stream: OutputStream, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(8 + payload.length);
  frame[0] = STREAM_NUMBER[stream];
  new DataView(frame.buffer).setUint32(4, payload.length);
  frame.set(payload, 8);
  return frame;
}

const STREAM_NUMBER: Readonly<Record<OutputStream, number>> = { stdout: 1, stderr: 2 };
