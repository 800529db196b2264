/**
 * Lines of JSON: one value on each line, which ends with LF. The end of a line is searched in the bytes, up to a limit, before
 * anything is decoded. The bytes after the line are returned unchanged: on the control socket they may be binary.
 */

/** The longest request line, in bytes, its LF included. */
export const MAX_REQUEST_BYTES = 64 * 1024;

/** The longest reply line: enough for a list of ten thousand containers with their labels. */
export const MAX_REPLY_BYTES = 16 * 1024 * 1024;

/** The longest event line: the event log keeps no longer one. */
export const MAX_EVENT_BYTES = 4 * 1024 * 1024;

const LF = 0x0a;
const FIRST_READ_BYTES = 4 * 1024;

/** A source of bytes, `Deno.Conn` for example. */
export interface ByteSource {
  /** Fills `buffer` from its start. Returns the number of bytes, or null at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
}

/** A line, and the bytes read after it. */
export interface FramedLine {
  /** Without its LF. */
  readonly line: Uint8Array;
  /** The bytes that arrived together with the line. */
  readonly rest: Uint8Array;
}

/** A line is longer than its limit. The rest of it is unread, so nothing more can be read from the connection. */
export class LineTooLongError extends Error {
  override readonly name = "LineTooLongError";
  readonly maxBytes: number;

  constructor(maxBytes: number) {
    super(`the line is longer than ${maxBytes} bytes`);
    this.maxBytes = maxBytes;
  }
}

/**
 * Reads one line. Returns null if the source ends before an LF.
 *
 * @throws {LineTooLongError} if the first `maxBytes` bytes contain no LF
 */
export async function readLine(
  source: ByteSource,
  options: { readonly maxBytes: number },
): Promise<FramedLine | null> {
  const { maxBytes } = options;
  let buffer = new Uint8Array(Math.min(FIRST_READ_BYTES, maxBytes));
  let filled = 0;
  while (true) {
    if (filled === buffer.length) {
      if (filled === maxBytes) throw new LineTooLongError(maxBytes);
      buffer = enlarged(buffer, Math.min(filled * 2, maxBytes));
    }
    const count = await source.read(buffer.subarray(filled));
    if (count === null) return null;
    const end = buffer.subarray(0, filled + count).indexOf(LF, filled);
    filled += count;
    if (end >= 0) return { line: buffer.subarray(0, end), rest: buffer.subarray(end + 1, filled) };
  }
}

/** One value as a line: JSON in UTF-8 and an LF. */
export function encodeLine(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value)}\n`);
}

/**
 * The value of a line that {@linkcode readLine} returned.
 *
 * @throws {TypeError} if it is not UTF-8
 * @throws {SyntaxError} if it is not JSON
 */
export function decodeLine(line: Uint8Array): unknown {
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line));
}

/** A larger copy. */
export function enlarged(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}
