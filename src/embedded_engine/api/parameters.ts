/** Query parameters and JSON bodies, parsed as Docker's server parses them. */
import { messageOf } from "../../platform/apex_error.ts";
import { HttpError, type HttpRequest } from "../http/http_message.ts";
import type { ConsoleSize } from "../spec/body_schema.ts";
import { parseNano } from "../spec/nano_time.ts";

/** As in Docker, every value but these is true. */
export function booleanParameter(query: URLSearchParams, name: string): boolean {
  const value = (query.get(name) ?? "").trim().toLowerCase();
  return !["", "0", "no", "false", "none"].includes(value);
}

/** @throws {HttpError} with `badStatus` and Go's message */
export function integerParameter(
  query: URLSearchParams,
  { name, badStatus }: { name: string; badStatus: number },
): number | undefined {
  const value = query.get(name);
  if (value === null || value === "") return undefined;
  if (!/^[+-]?\d{1,15}$/.test(value)) {
    throw new HttpError(badStatus, `strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`);
  }
  return Number(value);
}

/** @throws {HttpError} 500 with Go's message for a malformed time, as Docker answers */
export function timeParameter(query: URLSearchParams, name: string): bigint | undefined {
  const value = query.get(name);
  if (value === null || value === "") return undefined;
  try {
    return parseNano(value);
  } catch (error) {
    if (error instanceof SyntaxError) throw new HttpError(500, error.message, { cause: error });
    throw error;
  }
}

/** @throws {HttpError} 400 for a body that is not a JSON object, or has another content type */
export function jsonBody(request: HttpRequest): object {
  const type = request.headers.get("content-type");
  if (type !== undefined && type.split(";")[0]?.trim().toLowerCase() !== "application/json") {
    throw new HttpError(400, `unsupported Content-Type header (${type}): must be 'application/json'`);
  }
  if (request.body.length === 0) throw new HttpError(400, "invalid JSON: got EOF while reading request body");
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(request.body));
  } catch (error) {
    throw new HttpError(400, `invalid JSON: ${messageOf(error)}`, { cause: error });
  }
  if (typeof body === "object" && body !== null && !Array.isArray(body)) return body;
  throw new HttpError(400, "invalid JSON: the body must be an object");
}

/** The kernel stores a terminal's size in 16 bits. */
const MAX_CHARACTERS = 65_535;

/** The parameters `h` and `w` of a resize. @throws {HttpError} 400 for one that is missing or out of range */
export function sizeParameters(query: URLSearchParams): ConsoleSize {
  return { rows: sizeParameter(query, "h"), columns: sizeParameter(query, "w") };
}

function sizeParameter(query: URLSearchParams, name: string): number {
  const value = integerParameter(query, { name, badStatus: 400 });
  if (value === undefined) throw new HttpError(400, 'strconv.Atoi: parsing "": invalid syntax');
  if (value < 0 || value > MAX_CHARACTERS) {
    throw new HttpError(400, `a terminal's size is from 0 to ${MAX_CHARACTERS}: ${name}=${value}`);
  }
  return value;
}
