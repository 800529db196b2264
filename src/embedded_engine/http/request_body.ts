/** Decoding of chunked request bodies (RFC 9112, 7.1), on bytes that are already here. */

import { concat } from "@std/bytes/concat";

/** A body above the limit the caller gave. */
export class BodyTooLarge extends Error {
  override readonly name: string = "BodyTooLarge";
}

/** A chunk-size line with extensions; nobody sends more. */
export const MAX_SIZE_LINE_BYTES = 256;
/** Trailer fields are read and ignored. */
export const MAX_TRAILER_BYTES = 8 * 1024;

/**
 * Decodes the chunked body at the start of `bytes`.
 * @returns undefined while it is not all here
 * @throws {SyntaxError} where it is malformed
 * @throws {BodyTooLarge} when it is, or announces that it will be, above `maxBytes`
 */
export function decodeChunkedBody(
  bytes: Uint8Array,
  maxBytes: number,
): { body: Uint8Array; consumedBytes: number } | undefined {
  const parts: Uint8Array[] = [];
  let total = 0;
  let at = 0;
  for (;;) {
    const line = lineAt(bytes, at, MAX_SIZE_LINE_BYTES);
    if (line === undefined) return undefined;
    const size = parseChunkSize(line.text);
    at = line.next;
    if (size === 0) break;
    total += size;
    if (total > maxBytes) throw new BodyTooLarge(`request body is larger than ${maxBytes} bytes`);
    if (bytes.length < at + size + 2) return undefined;
    parts.push(bytes.subarray(at, at + size));
    at += size;
    if (bytes[at] !== 13 || bytes[at + 1] !== 10) {
      throw new SyntaxError("malformed chunk in the request body");
    }
    at += 2;
  }
  for (const trailersStart = at;;) {
    const line = lineAt(bytes, at, MAX_TRAILER_BYTES);
    if (line === undefined) return undefined;
    at = line.next;
    if (line.text === "") break;
    if (at - trailersStart > MAX_TRAILER_BYTES) throw new SyntaxError("too many trailer fields");
  }
  return { body: concat(parts), consumedBytes: at };
}

/** @throws {SyntaxError} for what is no size in hexadecimal */
export function parseChunkSize(line: string): number {
  const match = /^([0-9a-fA-F]{1,8})[ \t]*(;.*)?$/.exec(line);
  if (match === null) throw new SyntaxError("malformed chunk size in the request body");
  return parseInt(match[1]!, 16);
}

/**
 * The line that begins at `from`, without its end; undefined while it is not all here.
 * @throws {SyntaxError} for one above `maxBytes`
 */
export function lineAt(
  bytes: Uint8Array,
  from: number,
  maxBytes: number,
): { text: string; next: number } | undefined {
  const end = bytes.indexOf(10, from);
  if (end < 0) {
    if (bytes.length - from > maxBytes) throw new SyntaxError("line too long in the request body");
    return undefined;
  }
  const stop = end > from && bytes[end - 1] === 13 ? end - 1 : end;
  return { text: new TextDecoder("latin1").decode(bytes.subarray(from, stop)), next: end + 1 };
}
