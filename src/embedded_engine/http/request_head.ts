/** The head of an HTTP/1.1 request, from its text to its meaning. */
import { HttpError } from "./http_error.ts";

/** The head of a request, parsed; its body follows on the connection. */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: ReadonlyMap<string, string>;
  /** The client wants the connection to stay open. */
  readonly keepAlive: boolean;
  /** The client speaks HTTP/1.1, so chunked replies are understood. */
  readonly chunkedReplies: boolean;
}

/** @throws {HttpError} 400 for what is no request */
export function parseHead(text: string): RequestHead {
  const [requestLine = "", ...lines] = text.trimEnd().split(/\r?\n/);
  const request = /^([A-Z]{1,16}) (\S+) HTTP\/1\.([01])$/.exec(requestLine);
  if (request === null) throw new HttpError(400, "not an HTTP/1.1 request line");
  const headers = new Map<string, string>();
  for (const line of lines) {
    const header = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/.exec(line);
    if (header === null) throw new HttpError(400, "malformed header line");
    const name = header[1]!.toLowerCase();
    // Two lengths that differ are the other way of smuggling a request.
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
 * How long the body is that follows.
 * @throws {HttpError} 400 or 501 where its end could not be known
 */
export function bodySize({ headers }: RequestHead): number | "chunked" {
  const coding = headers.get("transfer-encoding");
  const length = headers.get("content-length");
  if (coding !== undefined) {
    if (coding.toLowerCase() !== "chunked") {
      throw new HttpError(501, `unsupported transfer encoding: ${coding}`);
    }
    // RFC 9112, 6.3: both at once is an attempt at request smuggling.
    if (length !== undefined) throw new HttpError(400, "both Transfer-Encoding and Content-Length");
    return "chunked";
  }
  if (length === undefined) return 0;
  if (!/^\d{1,15}$/.test(length)) throw new HttpError(400, `bad Content-Length: ${length}`);
  return Number(length);
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
