/** The output of a task whose container was removed, as `containers.logs` would have it from the engine. */
import { concat } from "@std/bytes/concat";
import { formatLogTime } from "../../engine/events/engine_time.ts";
import type { LogChunk } from "../../engine/logs/log_frames.ts";
import { decodeLogRecords, type LogRecord } from "../../engine/logs/log_tail.ts";
import type { StoredOutput } from "../../storage/task_outputs.ts";

/** What of the output is asked for; as the engine's own log takes it. */
export interface KeptOutputOptions {
  /** The last lines only. */
  readonly tail?: number | undefined;
  /** Only what was written from then on, milliseconds since the Unix epoch. */
  readonly sinceMs?: number | undefined;
  /** Begins each line with its time. */
  readonly timestamps?: boolean | undefined;
}

/** Some of a kept output. */
export interface SelectedOutput {
  readonly chunks: Iterable<LogChunk>;
  /** Of all that is kept, selected or not, without times. */
  readonly keptBytes: number;
  /** More was asked for than is kept: the beginning is missing. */
  readonly isCut: boolean;
}

/** Neighbours of one stream are joined up to this size. */
const CHUNK_BYTES = 64 * 1024;
const LF = 0x0a;

export function selectOutput(
  { records: bytes, isCut }: StoredOutput,
  options: KeptOutputOptions,
): SelectedOutput {
  const { tail, sinceMs = 0, timestamps = false } = options;
  const records = withLineStarts(decodeLogRecords(bytes));
  const sinceNano = BigInt(Math.floor(sinceMs)) * 1_000_000n;
  const firstInTime = records.findIndex(({ timeNano }) => timeNano >= sinceNano);
  const start = Math.max(firstInTime === -1 ? records.length : firstInTime, startOfTail(records, tail));
  return {
    chunks: joined(records.slice(start), timestamps),
    keptBytes: records.reduce((sum, { text }) => sum + text.length, 0),
    isCut: isCut && start === 0,
  };
}

interface LineRecord extends LogRecord {
  /** It is no further piece of a line. */
  readonly startsLine: boolean;
}

function withLineStarts(records: readonly LogRecord[]): LineRecord[] {
  const atLineStart = { stdout: true, stderr: true };
  return records.map((record) => {
    const { stream, text } = record;
    const startsLine = atLineStart[stream];
    atLineStart[stream] = text.at(-1) === LF;
    return { ...record, startsLine };
  });
}

function startOfTail(records: readonly LineRecord[], tail: number | undefined): number {
  if (tail === undefined) return 0;
  let start = records.length;
  for (let lines = 0; start > 0 && lines < tail; start--) if (records[start - 1]?.startsLine) lines++;
  return start;
}

function* joined(records: readonly LineRecord[], timestamps: boolean): Generator<LogChunk> {
  const encoder = new TextEncoder();
  let parts: Uint8Array[] = [];
  let bytes = 0;
  let current: LogChunk["stream"] = "stdout";
  const take = (): LogChunk => {
    const chunk = { stream: current, bytes: concat(parts) };
    parts = [];
    bytes = 0;
    return chunk;
  };
  for (const { stream, timeNano, text, startsLine } of records) {
    if (bytes > 0 && (stream !== current || bytes >= CHUNK_BYTES)) yield take();
    current = stream;
    const added = timestamps && startsLine ? [encoder.encode(`${formatLogTime(timeNano)} `), text] : [text];
    for (const part of added) {
      parts.push(part);
      bytes += part.length;
    }
  }
  if (bytes > 0) yield take();
}
