/** What stands in the lines of `events.subscribe` and `events.history`. */
import * as v from "valibot";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { type ReceivedRecord, receivedRecordSchemas } from "../protocol/event_messages.ts";
import { decodeLine } from "../protocol/jsonl.ts";

/** One event, or one record. */
export type StreamLine = EventLine | RecordLine;

export interface EventLine {
  readonly seq: number;
  /** Its fields behind `seq`, without the opening brace, with the newline. */
  readonly rest: Uint8Array;
}

export interface RecordLine {
  readonly seq?: undefined;
  /** Undefined for one that this version does not know. */
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
 * The lines in a piece of whole ones, as views of it. Events are not decoded.
 *
 * @throws {ApexError} `protocol` for a record that makes no sense
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
    throw senselessLine(error);
  }
}

/** What is told of a line that is not as it should be. @param cause what makes it so */
export function senselessLine(cause: unknown): ApexError {
  return new ApexError("protocol", `the daemon sent an invalid line: ${messageOf(cause)}`, {
    cause,
  });
}
