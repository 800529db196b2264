/** One event, to be written with its number. */
export interface NumberedLine {
  readonly seq: number;
  /** The whole event without its newline: one flat JSON object. */
  readonly json: Uint8Array;
}

const encoder = new TextEncoder();
const PREFIX = encoder.encode('{"seq":');
const COMMA = 0x2c;
const NEWLINE = 0x0a;
const ZERO = 0x30;

/** How many bytes {@linkcode numberLines} makes of a line. */
export function numberedBytes({ seq, json }: NumberedLine): number {
  // The comma and the newline come, the opening brace goes.
  return PREFIX.length + digitsOf(seq) + json.length + 1;
}

/** The lines with `seq` as their first key, newlines included. Bytes are copied; nothing is parsed. */
export function numberLines(lines: readonly NumberedLine[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lines.reduce((sum, line) => sum + numberedBytes(line), 0));
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

/** Of a whole number from 1 on. */
function digitsOf(seq: number): number {
  let digits = 1;
  for (let limit = 10; seq >= limit; limit *= 10) digits++;
  return digits;
}
