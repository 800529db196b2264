/**
 * The end of a container's output, with the engine's timestamp of each line, reading little more than that. The output
 * is returned as records in one array of bytes. A record is one message of the engine's log: a line, or a piece of a
 * long one. It consists of the text and 13 bytes, big-endian: the stream (1 or 2), the time (64 bits, nanoseconds since
 * the Unix epoch) and the length of the text (32 bits). The length comes last, so records are found from the end of the
 * array, and its beginning may be cut anywhere.
 */
import { concat } from "@std/bytes/concat";
import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";
import type { EngineClient } from "../engine_client.ts";
import { parseExactEngineTime } from "../events/engine_time.ts";
import { ByteTail } from "./byte_tail.ts";
import { type LogChunk, readLog } from "./log_frames.ts";

export interface LogTailOptions {
  /** The maximum size of the records, see {@linkcode decodeLogRecords}. */
  readonly maxBytes: number;
  /** Aborts the read. */
  readonly abort?: AbortSignal | undefined;
}

export interface LogTail {
  /** For {@linkcode decodeLogRecords}. */
  readonly records: Uint8Array;
  /** Whether the container has written more than this. */
  readonly isCut: boolean;
}

/** The first number of lines to request; usually that is the whole log. */
const FIRST_LINES = 1_000;
/** The factor for the next request when too little was returned: a wasted read is an eighth of the last one. */
const GROWTH = 8;
/** Above this number the whole log is read: engines have to search for the beginning of the last lines. */
const MAX_LINES = 512_000;
/** Podman, whose log is read whole, takes 20 s for 100 MB of short lines; Docker half a second for the end of them. */
const READ_WITHIN_MS = 60_000;
/** A timestamp takes 30 to 35 bytes. */
const MAX_TIME_BYTES = 64;
const SPACE = 0x20;

/**
 * Reads the end of the log of an exited container that has no terminal.
 * @throws {EngineError} `not_found` when the container does not exist
 * @throws {DeadlineExceeded}
 * @throws the reason of `abort` when it aborts
 */
export async function readLogTail(
  client: Pick<EngineClient, "identify" | "openLong">,
  { id, clock, maxBytes, abort }: LogTailOptions & { readonly id: string; readonly clock: Clock },
): Promise<LogTail> {
  using deadline = new Deadline(READ_WITHIN_MS, { clock, abort });
  // Podman logs an unfinished line in pieces, and loses pieces when only the last lines are requested.
  const { kind } = await client.identify(deadline.abortSignal);
  let lines: number | undefined = kind === "podman" ? undefined : FIRST_LINES;
  while (true) {
    const query = { stdout: true, stderr: true, timestamps: true, tail: lines };
    const path = `/containers/${encodeURIComponent(id)}/logs`;
    const body = await client.openLong(path, { query, abort: deadline.abortSignal });
    const reader = new RecordReader(maxBytes);
    for await (const chunk of readLog(body, { tty: false, apart: true, abort: deadline.abortSignal })) {
      reader.push(chunk);
    }
    const tail = reader.end();
    if (lines === undefined || reader.records < lines || tail.isCut) return tail;
    lines = lines * GROWTH > MAX_LINES ? undefined : lines * GROWTH;
  }
}

/** Converts frames to records. A frame is the timestamp, a space and the text, and may arrive in several chunks. */
class RecordReader {
  readonly #tail: LogRecordTail;
  #stream: LogChunk["stream"] | undefined;
  /** Undefined until the whole timestamp of the frame has arrived. */
  #timeNano: bigint | undefined;
  /** The beginning of the frame until its timestamp is known. */
  #start: Uint8Array = new Uint8Array(0);
  /** The number of records begun so far. */
  records = 0;

  constructor(maxBytes: number) {
    this.#tail = new LogRecordTail(maxBytes);
  }

  push({ stream, bytes, startsFrame }: LogChunk): void {
    if (startsFrame) {
      this.#endRecord();
      this.#stream = stream;
      this.records++;
    }
    if (this.#timeNano !== undefined) return this.#tail.push(bytes);
    this.#start = concat([this.#start, bytes]);
    const space = this.#start.indexOf(SPACE);
    if (space === -1 && this.#start.length < MAX_TIME_BYTES) return;
    const time = parseExactEngineTime(new TextDecoder().decode(this.#start.subarray(0, Math.max(space, 0))));
    this.#timeNano = time ?? 0n;
    this.#tail.push(time === undefined ? this.#start : this.#start.subarray(space + 1));
  }

  end(): LogTail {
    this.#endRecord();
    return { records: this.#tail.bytes(), isCut: this.#tail.isCut };
  }

  #endRecord(): void {
    if (this.#stream === undefined) return;
    if (this.#timeNano === undefined) this.#tail.push(this.#start);
    this.#tail.end({ stream: this.#stream, timeNano: this.#timeNano ?? 0n });
    this.#stream = this.#timeNano = undefined;
    this.#start = new Uint8Array(0);
  }
}

/** One message of the engine's log. */
export interface LogRecord {
  readonly stream: LogChunk["stream"];
  /** Nanoseconds since the Unix epoch. */
  readonly timeNano: bigint;
  /** Includes the line feed, unless it is a piece of a line. */
  readonly text: Uint8Array;
}

const TRAILER_BYTES = 13;

/** Keeps the last records of a log, bounded in bytes. */
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

  /** Whether records were dropped. */
  get isCut(): boolean {
    return this.#pushedBytes > this.#maxBytes;
  }

  /** Appends text to the record that {@linkcode end} completes. */
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

/**
 * Returns the records, oldest first. If the beginning of the first one was cut off, it has the rest of its text. The
 * texts are parts of `bytes`.
 */
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
