/** The end of what a container wrote, with the engine's time of each line, without reading much more than that. */
import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";
import { concat } from "@std/bytes/concat";
import type { EngineClient } from "../engine_client.ts";
import { parseExactEngineTime } from "../events/engine_time.ts";
import { type LogChunk, readLog } from "./log_frames.ts";
import { LogRecordTail } from "./log_records.ts";

export interface LogTailOptions {
  /** Of the records, see `log_records.ts`. */
  readonly maxBytes: number;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
}

export interface LogTail {
  /** For `decodeLogRecords`. */
  readonly records: Uint8Array;
  /** The container has written more than this. */
  readonly isCut: boolean;
}

/** First asked for; mostly that is the whole log. */
const FIRST_LINES = 1_000;
/** From one question to the next, as long as too little came: what was read in vain is an eighth of the last answer. */
const GROWTH = 8;
/** More is not worth a question of its own: an engine has to look for where they begin. */
const MAX_LINES = 512_000;
/** Podman, which is read whole, takes 20 s for 100 MB of short lines; Docker half a second for the end of them. */
const READ_WITHIN_MS = 60_000;
/** A time takes 30 to 35 bytes. */
const MAX_TIME_BYTES = 64;
const SPACE = 0x20;

/**
 * Of a container without a terminal that has ended.
 * @throws {EngineError} `not_found` when the container is gone
 * @throws the signal's reason when it aborts, {DeadlineExceeded}
 */
export async function readLogTail(
  client: Pick<EngineClient, "identify" | "openLong">,
  { id, clock, maxBytes, signal }: LogTailOptions & { readonly id: string; readonly clock: Clock },
): Promise<LogTail> {
  using deadline = new Deadline(READ_WITHIN_MS, { clock, abort: signal });
  // Podman logs an unfinished line in pieces, and loses pieces if it is asked for the last lines only.
  const { kind } = await client.identify(deadline.abortSignal);
  let lines: number | undefined = kind === "podman" ? undefined : FIRST_LINES;
  while (true) {
    const query = { stdout: true, stderr: true, timestamps: true, tail: lines };
    const path = `/containers/${encodeURIComponent(id)}/logs`;
    const body = await client.openLong(path, { query, signal: deadline.abortSignal });
    const reader = new RecordReader(maxBytes);
    for await (const chunk of readLog(body, { tty: false, apart: true, signal: deadline.abortSignal })) {
      reader.push(chunk);
    }
    const tail = reader.end();
    if (lines === undefined || reader.records < lines || tail.isCut) return tail;
    lines = lines * GROWTH > MAX_LINES ? undefined : lines * GROWTH;
  }
}

/** Makes records of frames: each frame is the time, a space and the text, and may come in several chunks. */
class RecordReader {
  readonly #tail: LogRecordTail;
  #stream: LogChunk["stream"] | undefined;
  /** Undefined until the space behind it has come. */
  #timeNano: bigint | undefined;
  /** The beginning of the frame, as long as its time is not known. */
  #start: Uint8Array = new Uint8Array(0);
  /** Begun so far. */
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
