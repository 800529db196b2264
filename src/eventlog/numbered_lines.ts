export interface NumberedLine {
  readonly seq: number;
  /** The whole event without its newline: one flat JSON object. */
  readonly json: Uint8Array;
}

const PREFIX = new TextEncoder().encode('{"seq":');
const COMMA = 0x2c;
const NEWLINE = 0x0a;
const ZERO = 0x30;

/** Returns the lines with `seq` as their first key, newlines included. It copies bytes and parses nothing. */
export function numberLines(lines: readonly NumberedLine[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lines.reduce((sum, line) => sum + numberedLength(line), 0));
  let at = 0;
  for (const { seq, json } of lines) {
    bytes.set(PREFIX, at);
    at += PREFIX.length + digitsOf(seq);
    let rest = seq;
    for (let digit = at - 1; rest > 0; digit--, rest = Math.floor(rest / 10)) bytes[digit] = ZERO + rest % 10;
    bytes[at++] = COMMA;
    bytes.set(json.subarray(1), at);
    at += json.length - 1;
    bytes[at++] = NEWLINE;
  }
  return bytes;
}

function numberedLength({ seq, json }: NumberedLine): number {
  // A comma and a newline are added, and the opening brace is part of the prefix.
  return PREFIX.length + digitsOf(seq) + json.length + 1;
}

/** The number of decimal digits of a positive integer. */
function digitsOf(seq: number): number {
  let digits = 1;
  for (let limit = 10; seq >= limit; limit *= 10) digits++;
  return digits;
}
