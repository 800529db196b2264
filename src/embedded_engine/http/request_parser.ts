/** Parses the head of an HTTP/1.1 request, and chunked bodies (RFC 9112, 7.1). Works on bytes that have been read already. */
import { concat } from "@std/bytes/concat";
import { HttpError } from "./http_message.ts";

/** A chunk-size line with extensions; no client sends a longer one. */
export const MAX_SIZE_LINE_BYTES = 256;
/** Trailer fields are read and ignored. */
export const MAX_TRAILER_BYTES = 8 * 1024;

/** The head of a request; its body follows on the connection. */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: ReadonlyMap<string, string>;
  /** The client wants the connection to stay open. */
  readonly keepAlive: boolean;
  /** The client speaks HTTP/1.1, so it understands chunked replies. */
  readonly chunkedReplies: boolean;
}

/** A body above the limit that the caller gave. */
export class BodyTooLarge extends Error {
  override readonly name: string = "BodyTooLarge";
}

/** @throws {HttpError} 400 for a malformed head */
export function parseHead(text: string): RequestHead {
  const [requestLine = "", ...lines] = text.trimEnd().split(/\r?\n/);
  const request = /^([A-Z]{1,16}) (\S+) HTTP\/1\.([01])$/.exec(requestLine);
  if (request === null) throw new HttpError(400, "not an HTTP/1.1 request line");
  const headers = new Map<string, string>();
  for (const line of lines) {
    const header = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/.exec(line);
    if (header === null) throw new HttpError(400, "malformed header line");
    const name = header[1]!.toLowerCase();
    // Two lengths that differ are an attempt at request smuggling.
    if (name === "content-length" && headers.has(name) && headers.get(name) !== header[2]) {
      throw new HttpError(400, "conflicting Content-Length headers");
    }
    headers.set(name, header[2]!);
  }
  const modern = request[3] === "1";
  const connection = (headers.get("connection") ?? "").toLowerCase();
  return {
    method: request[1]!,
    ...parseTarget(request[2]!),
    headers,
    keepAlive: modern ? !/\bclose\b/.test(connection) : /\bkeep-alive\b/.test(connection),
    chunkedReplies: modern,
  };
}

/**
 * The length in bytes of the body that follows a head.
 * @throws {HttpError} 400 or 501 where the end of the body cannot be known
 */
export function bodySize({ headers }: RequestHead): number | "chunked" {
  const coding = headers.get("transfer-encoding");
  const length = headers.get("content-length");
  if (coding !== undefined) {
    if (coding.toLowerCase() !== "chunked") {
      throw new HttpError(501, `unsupported transfer encoding: ${coding}`);
    }
    // RFC 9112, 6.3: both at once are an attempt at request smuggling.
    if (length !== undefined) throw new HttpError(400, "both Transfer-Encoding and Content-Length");
    return "chunked";
  }
  if (length === undefined) return 0;
  if (!/^\d{1,15}$/.test(length)) throw new HttpError(400, `bad Content-Length: ${length}`);
  return Number(length);
}

/**
 * Decodes the chunked body at the start of `bytes`.
 * @returns undefined while the body is incomplete
 * @throws {SyntaxError} where it is malformed
 * @throws {BodyTooLarge} when it is larger than `maxBytes`, or announces a chunk that makes it so
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

/** @throws {SyntaxError} for anything but a hexadecimal size with optional extensions */
export function parseChunkSize(line: string): number {
  const match = /^([0-9a-fA-F]{1,8})[ \t]*(;.*)?$/.exec(line);
  if (match === null) throw new SyntaxError("malformed chunk size in the request body");
  return parseInt(match[1]!, 16);
}

/**
 * The line that begins at `from`, without its end; undefined while it is incomplete.
 * @throws {SyntaxError} for one longer than `maxBytes`
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

/** Origin form (`/path?query`, the docker CLI and curl) and absolute form (`http://host/path`, Deno 2.9's fetch). */
function parseTarget(target: string): { path: string; query: URLSearchParams } {
  const origin = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "");
  if (!origin.startsWith("/") && !origin.startsWith("?")) {
    throw new HttpError(400, "malformed request target");
  }
  const question = origin.indexOf("?");
  const path = question < 0 ? origin : origin.slice(0, question);
  const query = question < 0 ? "" : origin.slice(question + 1);
  return { path: path === "" ? "/" : path, query: new URLSearchParams(query) };
}
