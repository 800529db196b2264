import { HttpError } from "../http/http_error.ts";
import type { Route } from "../http/router.ts";

/** What clients may well ask of an engine and this one cannot do: a clear 501 instead of "page not found". */
export function unsupportedRoutes(): Route[] {
  return UNSUPPORTED.map(([method, path, what]) => ({
    method,
    path,
    handle: () => {
      throw new HttpError(501, `the embedded engine has no ${what}: use docker or podman (--engine)`);
    },
  }));
}

const UNSUPPORTED: readonly (readonly [Route["method"], string, string])[] = [
  ["GET", "/containers/{id}/attach/ws", "attach over a WebSocket"],
  ["GET", "/containers/{id}/top", "process list"],
  ["POST", "/containers/{id}/update", "resource limits"],
  ["GET", "/containers/{id}/archive", "file system of its own for a container"],
  ["PUT", "/containers/{id}/archive", "file system of its own for a container"],
  ["POST", "/build", "image builder"],
  ["GET", "/networks", "networks"],
  ["GET", "/volumes", "volumes"],
];
