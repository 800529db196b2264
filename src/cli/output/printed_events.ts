import type { EventLine } from "../../client/stream_lines.ts";

const encoder = new TextEncoder();

/** Events as they are printed. */
export interface PrintedEvents {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Of the last one. */
  readonly seq: number;
}

export interface PrintedEventsOptions {
  /** Of the cursors; undefined to show none. */
  readonly epoch: string | undefined;
  /** Of a piece; a longer event is a piece of its own. */
  readonly maxBytes: number;
}

/** Events as they are printed, piece by piece: the bare line, or with its whole cursor as the first key. */
export function* printedEvents(
  events: readonly EventLine[],
  { epoch, maxBytes }: PrintedEventsOptions,
): Generator<PrintedEvents> {
  let parts: Uint8Array[] = [];
  let [length, count, last] = [0, 0, 0];
  for (const { seq, rest } of events) {
    const head = epoch === undefined ? BRACE : encoder.encode(`{"cursor":"${epoch}:${seq}",`);
    if (count > 0 && length + head.length + rest.length > maxBytes) {
      yield { bytes: joined(parts, length), count, seq: last };
      [parts, length, count] = [[], 0, 0];
    }
    parts.push(head, rest);
    length += head.length + rest.length;
    count++;
    last = seq;
  }
  if (count > 0) yield { bytes: joined(parts, length), count, seq: last };
}

const BRACE = encoder.encode("{");

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
