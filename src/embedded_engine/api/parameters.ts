/** Query parameters and JSON bodies, read as Docker's server reads them. */
import { messageOf } from "../../platform/apex_error.ts";
import { HttpError } from "../http/http_error.ts";
import type { HttpRequest } from "../http/http_message.ts";
import { parseNano } from "../spec/nano_time.ts";

/** Docker: anything but these is true. */
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

/** @throws {HttpError} 500 with Go's message, as Docker answers a `since` that is no number */
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

/** @throws {HttpError} 400 for a body that is no JSON object, or not said to be JSON */
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
