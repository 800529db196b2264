/**
 * The earlier output of a container's terminal, for a late attach. The source is the engine's log. Attaching with the
 * log (`logs=1`) would lose what is written in between. So the caller attaches first, then reads the log, and removes
 * from it what the stream has delivered too. Docker logs by line: an unfinished last line (a prompt) appears in the log
 * only when it ends, and only a client that has received it can add it.
 */
import { concat } from "@std/bytes/concat";
import { messageOf } from "../../platform/apex_error.ts";
import type { EngineClient } from "../engine_client.ts";
import { EngineError } from "../http/engine_error.ts";
import { cancelOnAbort, cancelReader } from "../http/reply_body.ts";
import { ByteTail } from "./byte_tail.ts";

export interface TtyTailOptions {
  readonly maxBytes: number;
  /** Also serves as the time limit: a log of the usual size takes milliseconds. */
  readonly abort?: AbortSignal | undefined;
}

/** A low estimate of a line's average length: the engine is asked for enough lines to fill `maxBytes`. */
const LEAST_LINE_BYTES = 32;
/** A match of this length is not a coincidence. */
const CERTAIN_BYTES = 256;
/** The part of the stream that is searched in the log; the search takes four times as much memory. */
const MAX_START_BYTES = 64 * 1024;
const LF = 0x0a;

/**
 * Reads at most the last `maxBytes` of the output of a container with a terminal.
 * @throws {EngineError}
 * @throws the reason of `abort` when it aborts
 */
export async function readTtyTail(
  client: EngineClient,
  id: string,
  { maxBytes, abort }: TtyTailOptions,
): Promise<Uint8Array> {
  // Podman logs a terminal's output in pieces, and with `tail` it breaks lines at their ends.
  const { kind } = await client.identify(abort);
  const tailLines = kind === "podman" ? undefined : Math.ceil(maxBytes / LEAST_LINE_BYTES);
  const query = { stdout: 1, stderr: 1, tail: tailLines };
  const path = `/containers/${encodeURIComponent(id)}/logs`;
  const body = await client.openLong(path, { query, abort });
  const tail = new ByteTail(maxBytes);
  const reader = body.getReader();
  const release = cancelOnAbort(reader, abort);
  try {
    while (true) {
      const { done, value } = await reader.read();
      abort?.throwIfAborted();
      if (done) return tail.bytes();
      tail.push(value);
    }
  } catch (error) {
    await cancelReader(reader);
    abort?.throwIfAborted();
    throw new EngineError(
      `the connection to the engine broke during the log of container ${id}: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  } finally {
    release();
  }
}

/**
 * Returns the part of the log that precedes the stream: this part followed by the stream is the whole output, without
 * gaps or repetition. Undefined when the log does not yet reach the start of the stream; read it again then.
 * @param streamStart the output of the stream from its first byte; if possible, all that had arrived when the log was
 *   read (256 bytes suffice if the log contains them)
 */
export function spliceTail(log: Uint8Array, streamStart: Uint8Array): Uint8Array | undefined {
  if (streamStart.length === 0) return log;
  const start = streamStart.subarray(0, MAX_START_BYTES);
  const { lastWhole, overlap } = find(start, log);
  // The usual case: the log ends within the stream. It is read later, but written in larger pieces.
  if (overlap >= Math.min(CERTAIN_BYTES, start.length)) return log.subarray(0, log.length - overlap);
  // The log continues after `start`. A short text may occur there by coincidence.
  if (start.length >= CERTAIN_BYTES) return lastWhole === undefined ? undefined : log.subarray(0, lastWhole);
  return overlap > 0 ? log.subarray(0, log.length - overlap) : undefined;
}

/**
 * Appends the unfinished last line to the log, if the engine has not logged it yet.
 * @param recent the last output that was received, however long ago: at least the end of the line before the unfinished
 *   one, or everything when no such line exists
 */
export function withUnlogged(log: Uint8Array, recent: Uint8Array): Uint8Array {
  const { overlap } = find(recent, log);
  const lineStart = recent.lastIndexOf(LF) + 1;
  // Everything before the line's start is in the log. A log that does not end within the rest has continued.
  const isBehind = overlap >= CERTAIN_BYTES || (lineStart === 0 ? log.length === 0 : overlap >= lineStart);
  if (!isBehind) return log;
  return concat([log, recent.subarray(overlap)]);
}

/**
 * Searches `start` in the log, in one pass over both (Knuth, Morris and Pratt).
 * @returns the position of its last whole occurrence, and how many bytes of it the log ends with
 */
function find(start: Uint8Array, log: Uint8Array): { lastWhole: number | undefined; overlap: number } {
  const borders = bordersOf(start);
  let lastWhole: number | undefined;
  let matched = 0;
  for (let at = 0; at < log.length; at++) {
    if (matched === start.length) matched = borders[matched - 1]!;
    while (matched > 0 && log[at] !== start[matched]) matched = borders[matched - 1]!;
    if (log[at] === start[matched]) matched++;
    if (matched === start.length) lastWhole = at + 1 - start.length;
  }
  return { lastWhole, overlap: matched };
}

/** For each prefix of the text, the length of the longest shorter prefix that it ends with. */
function bordersOf(text: Uint8Array): Int32Array {
  const borders = new Int32Array(text.length);
  let length = 0;
  for (let at = 1; at < text.length; at++) {
    while (length > 0 && text[at] !== text[length]) length = borders[length - 1]!;
    if (text[at] === text[length]) length++;
    borders[at] = length;
  }
  return borders;
}
