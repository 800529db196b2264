import type { EventLine } from "../client/stream_lines.ts";

const encoder = new TextEncoder();

/**
 * Events as they are printed: the bare line, or with its whole cursor as the first key.
 *
 * @param epoch of the cursors; undefined to show none
 */
export function printedEvents(events: readonly EventLine[], epoch: string | undefined): Uint8Array {
  const heads = epoch === undefined
    ? undefined
    : events.map(({ seq }) => encoder.encode(`{"cursor":"${epoch}:${seq}",`));
  let length = 0;
  events.forEach(({ rest }, index) => length += rest.length + (heads?.[index] ?? BRACE).length);
  const bytes = new Uint8Array(length);
  let at = 0;
  events.forEach(({ rest }, index) => {
    const head = heads?.[index] ?? BRACE;
    bytes.set(head, at);
    bytes.set(rest, at + head.length);
    at += head.length + rest.length;
  });
  return bytes;
}

const BRACE = encoder.encode("{");
