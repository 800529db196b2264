/**
 * What a container's terminal has shown so far, for who attaches late: the engine's log. An attach that asks for the log as
 * well (`logs=1`) loses what is written meanwhile; so attach first, read the log then, and cut off of it what the stream
 * has said too. Docker logs by line: the last, unfinished one (a prompt) is not there before its end is,
 * and only who has heard it can add it.
 */
import { concat } from "@std/bytes/concat";
import { messageOf } from "../../platform/apex_error.ts";
import type { EngineClient } from "../engine_client.ts";
import { EngineError } from "../http/engine_error.ts";
import { cancelOnAbort, cancelReader } from "../http/reply_body.ts";
import { ByteTail } from "./byte_tail.ts";

export interface TtyTailOptions {
  readonly maxBytes: number;
  /** Also the limit in time: a log of the usual size takes milliseconds. */
  readonly abort?: AbortSignal | undefined;
}

/** Of a line on average; the engine is asked for so many lines that they hold more than enough bytes. */
const LEAST_LINE_BYTES = 32;
/** A match of so many bytes is no chance. */
const CERTAIN_BYTES = 256;
/** Of the stream's start; its search in the log takes four times as much memory. */
const MAX_START_BYTES = 64 * 1024;
const LF = 0x0a;

/**
 * The last `maxBytes` at most of what a container with a terminal has said.
 * @throws {EngineError}
 * @throws the signal's reason when it aborts
 */
export async function readTtyTail(
  client: EngineClient,
  id: string,
  { maxBytes, abort }: TtyTailOptions,
): Promise<Uint8Array> {
  // Podman logs what a terminal said piece by piece, and with `tail` it breaks lines where the pieces end.
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
    throw new EngineError(`the engine broke off the log of container ${id}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    release();
  }
}

/**
 * What of the log came before the stream did: whoever shows that and then the stream has missed nothing and repeats nothing.
 * Undefined: the log does not go as far as the stream's start yet; read it again.
 * @param streamStart what the stream has said from its first byte on; all that had come when the log was read, if possible
 *   (256 bytes are enough when the log has them)
 */
export function spliceTail(log: Uint8Array, streamStart: Uint8Array): Uint8Array | undefined {
  if (streamStart.length === 0) return log;
  const start = streamStart.subarray(0, MAX_START_BYTES);
  const { lastWhole, overlap } = find(start, log);
  // The log ends within the stream, as it mostly does: it is read later, but written in larger pieces.
  if (overlap >= Math.min(CERTAIN_BYTES, start.length)) return log.subarray(0, log.length - overlap);
  // The log goes on behind it. A short text may well stand there by chance.
  if (start.length >= CERTAIN_BYTES) return lastWhole === undefined ? undefined : log.subarray(0, lastWhole);
  return overlap > 0 ? log.subarray(0, log.length - overlap) : undefined;
}

/**
 * The log with the unfinished line at its end, where the engine does not log that before its end, and has not yet.
 * @param recent the last that somebody heard, maybe long ago: some of the line before the unfinished one at least, or, where
 *   there was none, everything
 */
export function withUnlogged(log: Uint8Array, recent: Uint8Array): Uint8Array {
  const { overlap } = find(recent, log);
  const lineStart = recent.lastIndexOf(LF) + 1;
  // What was heard up to the line's start is logged for certain. A log that does not end within the rest went on.
  const isBehind = overlap >= CERTAIN_BYTES || (lineStart === 0 ? log.length === 0 : overlap >= lineStart);
  if (!isBehind) return log;
  return concat([log, recent.subarray(overlap)]);
}

/**
 * Looks for `start` in the log, in one pass over both (Knuth, Morris and Pratt).
 * @returns where it stands whole, for the last time; and how many bytes of it the log ends with
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

/** For each beginning of the text, how long the longest shorter beginning is with which it ends. */
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
