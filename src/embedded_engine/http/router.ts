import { HttpError, type HttpReply, type HttpRequest } from "./http_message.ts";

/** The parts of the path that a route's pattern matched, decoded. */
export type PathParameters = Readonly<Record<string, string>>;

/** `{x}` in `path` matches one segment, `{x*}` everything up to the next literal part. */
export interface Route {
  readonly method: "GET" | "HEAD" | "POST" | "DELETE" | "PUT";
  readonly path: string;
  readonly handle: (request: HttpRequest, parameters: PathParameters) => Promise<HttpReply> | HttpReply;
}

/** The Engine API version that the embedded engine speaks. */
export const API_VERSION = "1.44";
/** The oldest version that it accepts in a path. */
export const MIN_API_VERSION = "1.24";

/**
 * Makes a function that answers each request with the route for its method and path, with or without a `/v1.xx` prefix.
 * The function throws an {@linkcode HttpError} with Docker's message for a request without a route.
 */
export function createRouter(routes: readonly Route[]): (request: HttpRequest) => Promise<HttpReply> {
  const compiled = routes.map((route) => ({ ...route, expression: compile(route.path) }));
  return async (request) => {
    const path = withoutVersion(request.path);
    for (const route of compiled) {
      if (route.method !== request.method) continue;
      const match = route.expression.exec(path);
      if (match === null) continue;
      return await route.handle(request, decodeAll(match.groups ?? {}));
    }
    throw new HttpError(404, "page not found");
  };
}

function compile(path: string): RegExp {
  const source = path
    .replaceAll(/[.]/g, "\\.")
    .replaceAll(/\{(\w+)\*\}/g, "(?<$1>.+)")
    .replaceAll(/\{(\w+)\}/g, "(?<$1>[^/]+)");
  return new RegExp(`^${source}$`);
}

function withoutVersion(path: string): string {
  const match = /^\/v([0-9.]+)(\/.*)$/.exec(path);
  if (match === null) return path;
  const [, version = "", rest = ""] = match;
  if (compareVersions(version, API_VERSION) > 0) {
    throw new HttpError(
      400,
      `client version ${version} is too new. Maximum supported API version is ${API_VERSION}`,
    );
  }
  if (compareVersions(version, MIN_API_VERSION) < 0) {
    throw new HttpError(
      400,
      `client version ${version} is too old. Minimum supported API version is ${MIN_API_VERSION}, ` +
        "please upgrade your client to a newer version",
    );
  }
  return rest;
}

function compareVersions(left: string, right: string): number {
  const [leftParts, rightParts] = [left.split(".").map(Number), right.split(".").map(Number)];
  for (let index = 0; index < Math.max(leftParts.length, rightParts.length); index++) {
    const difference = (leftParts[index] ?? 0) - (rightParts[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function decodeAll(groups: Readonly<Record<string, string>>): PathParameters {
  try {
    return Object.fromEntries(Object.entries(groups).map(([key, value]) => [key, decodeURIComponent(value)]));
  } catch (error) {
    if (error instanceof URIError) {
      throw new HttpError(400, "malformed percent-encoding in the path", { cause: error });
    }
    throw error;
  }
}
