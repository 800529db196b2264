/** The client's side of `events.subscribe` and `events.history`: pieces of whole lines, and the events and records in them. */
import * as v from "valibot";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { type ReceivedRecord, receivedRecordSchemas } from "../protocol/event_operations.ts";
import { decodeLine, MAX_REPLY_BYTES } from "../protocol/jsonl.ts";
import type { LineOp } from "../protocol/operations.ts";
import { type ControlParamsOf, openExchange, type RequestOptions } from "./control_exchange.ts";
import { LineChunks } from "./line_chunks.ts";

/**
 * Starts an operation with lines.
 *
 * @throws as `request()` does
 */
export async function openLines<Op extends LineOp>(
  socketPath: string,
  op: Op,
  params: ControlParamsOf<Op>,
  options: RequestOptions = {},
): Promise<LineStream> {
  const { conn, rest, close } = await openExchange(socketPath, { op, params }, options);
  // A snapshot is as long as a list.
  const chunks = new LineChunks(conn, { socketPath, maxLineBytes: MAX_REPLY_BYTES, rest });
  return new LineStream({ chunks, close, abort: options.abort });
}

interface LineStreamParts {
  readonly chunks: LineChunks;
  readonly close: () => void;
  readonly abort: AbortSignal | undefined;
}

/**
 * The lines of an operation. It owns the connection; disposing it, or aborting its signal, ends a pending read. Made by
 * {@linkcode openLines}.
 */
export class LineStream implements Disposable {
  readonly #parts: LineStreamParts;
  #isDisposed = false;

  constructor(parts: LineStreamParts) {
    this.#parts = parts;
  }

  /**
   * One or more whole lines, valid until the next call; null at the end of the connection. Only a `stream.bye` record as the last
   * line proves that the stream is complete.
   *
   * @throws {ApexError} `protocol` for a line that is too long
   * @throws the reason of `abort` when it is aborted
   */
  async next(): Promise<Uint8Array | null> {
    const { chunks, abort } = this.#parts;
    try {
      const lines = await chunks.next();
      abort?.throwIfAborted();
      return lines;
    } catch (error) {
      abort?.throwIfAborted();
      if (this.#isDisposed) return null;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#parts.close();
  }
}

/** A line of `events.subscribe` or `events.history`: an event, or a stream record. */
export type StreamLine = EventLine | RecordLine;

export interface EventLine {
  readonly seq: number;
  /** The fields after `seq`, without the opening brace, with the newline. */
  readonly rest: Uint8Array;
}

export interface RecordLine {
  readonly seq?: undefined;
  /** Undefined for a record that this version does not know. */
  readonly record: ReceivedRecord | undefined;
  /** With its newline. */
  readonly line: Uint8Array;
}

const LF = 0x0a;
const COMMA = 0x2c;
const ZERO = 0x30;
const NINE = 0x39;
const PREFIX = new TextEncoder().encode('{"seq":');

/**
 * Splits a piece into its lines, as views of the piece. Events are not decoded.
 *
 * @throws {ApexError} `protocol` for an invalid record
 */
export function* streamLines(piece: Uint8Array): Generator<StreamLine> {
  for (let start = 0; start < piece.length;) {
    const end = piece.indexOf(LF, start) + 1;
    const line = piece.subarray(start, end);
    yield eventLine(line) ?? { record: recordOf(line), line };
    start = end;
  }
}

function eventLine(line: Uint8Array): EventLine | undefined {
  if (!PREFIX.every((byte, at) => line[at] === byte)) return undefined;
  let seq = 0;
  let at = PREFIX.length;
  for (let byte = line[at]!; byte >= ZERO && byte <= NINE; byte = line[++at]!) seq = seq * 10 + byte - ZERO;
  return line[at] === COMMA ? { seq, rest: line.subarray(at + 1) } : undefined;
}

function recordOf(line: Uint8Array): ReceivedRecord | undefined {
  try {
    const value = decodeLine(line);
    const { type } = v.parse(v.object({ type: v.string() }), value);
    if (!Object.hasOwn(receivedRecordSchemas, type)) return undefined;
    return v.parse(receivedRecordSchemas[type as keyof typeof receivedRecordSchemas], value);
  } catch (error) {
    throw invalidLine(error);
  }
}

/** The error for an invalid line. @param cause what is invalid */
export function invalidLine(cause: unknown): ApexError {
  return new ApexError("protocol", `the daemon sent an invalid line: ${messageOf(cause)}`, { cause });
}
