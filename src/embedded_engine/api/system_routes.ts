/** The requests about the engine itself: ping, version, info, events; and the requests that it refuses with 501. */
import { type Clock, runAt } from "../../platform/clock.ts";
import { VERSION } from "../../protocol/version.ts";
import type { ContainerIndex } from "../containers/container_index.ts";
import type { EventHistory, PublishedEvent } from "../containers/event_history.ts";
import { HttpError, type HttpReply, type HttpRequest, jsonReply } from "../http/http_message.ts";
import { API_VERSION, MIN_API_VERSION, type Route } from "../http/router.ts";
import type { ImageStore } from "../spec/image_store.ts";
import { type EngineTime, formatNano, nanoToMs } from "../spec/nano_time.ts";
import { matchesEventFilters, parseFilters } from "./filters.ts";
import { timeParameter } from "./parameters.ts";

/** The name in `/version` by which clients recognize the embedded engine. */
const PLATFORM_NAME = "apex embedded engine";

/** Requests that clients may send and this engine does not support: a clear 501 instead of "page not found". */
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

export interface SystemRoutesOptions {
  /** Stays the same over restarts; each engine directory has its own. */
  readonly engineId: string;
  readonly images: ImageStore;
  readonly dir: string;
  readonly containers: ContainerIndex;
  readonly history: EventHistory;
  readonly time: EngineTime;
  readonly clock: Clock;
}

export function systemRoutes(options: SystemRoutesOptions): Route[] {
  return [
    { method: "GET", path: "/_ping", handle: ping },
    { method: "HEAD", path: "/_ping", handle: ping },
    { method: "GET", path: "/version", handle: () => jsonReply(200, versionView()) },
    { method: "GET", path: "/info", handle: () => jsonReply(200, infoView(options)) },
    { method: "GET", path: "/events", handle: (request) => events(request, options) },
    ...UNSUPPORTED.map(([method, path, feature]) => ({ method, path, handle: () => refuse(feature) })),
  ];
}

function ping(): HttpReply {
  return {
    kind: "fixed",
    status: 200,
    contentType: "text/plain; charset=utf-8",
    headers: { "Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache" },
    body: "OK",
  };
}

function versionView(): Record<string, unknown> {
  const details = {
    ApiVersion: API_VERSION,
    MinAPIVersion: MIN_API_VERSION,
    Os: Deno.build.os,
    Arch: goArch(),
  };
  return {
    Platform: { Name: PLATFORM_NAME },
    Components: [{ Name: "Engine", Version: VERSION, Details: details }],
    Version: VERSION,
    ...details,
    GitCommit: "",
    GoVersion: "",
    KernelVersion: Deno.osRelease(),
    BuildTime: "",
  };
}

function infoView(options: SystemRoutesOptions): Record<string, unknown> {
  const { engineId, images, dir, history, time } = options;
  const containers = options.containers.list();
  const countOf = (status: string) => containers.filter(({ state }) => state.status === status).length;
  const [running, paused] = [countOf("running") + countOf("restarting"), countOf("paused")];
  return {
    ID: engineId,
    Containers: containers.length,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: containers.length - running - paused,
    Images: images.names.length,
    Driver: "process",
    LoggingDriver: "json-file",
    NEventsListener: history.subscriberCount,
    SystemTime: formatNano(time.next()),
    KernelVersion: Deno.osRelease(),
    OperatingSystem: PLATFORM_NAME,
    OSType: Deno.build.os,
    Architecture: Deno.build.arch,
    NCPU: navigator.hardwareConcurrency,
    MemTotal: Deno.systemMemoryInfo().total,
    DockerRootDir: dir,
    Name: Deno.hostname(),
    ServerVersion: VERSION,
    Labels: [],
    Warnings: ["WARNING: the embedded engine isolates nothing: containers are processes of this user"],
  };
}

function events({ query, abort }: HttpRequest, { history, clock }: SystemRoutesOptions): HttpReply {
  const since = timeParameter(query, "since");
  const until = timeParameter(query, "until");
  if (since !== undefined && until !== undefined && since > until) {
    throw new HttpError(
      400,
      `\`since\` time (${query.get("since")}) cannot be after \`until\` time (${query.get("until")})`,
    );
  }
  const filters = parseFilters(query.get("filters"));
  // The subscription begins before the headers are written, so a client that has seen them misses no event. The past
  // events are copied in the same synchronous block, so that past and present neither overlap nor leave a gap.
  const past = since === undefined && until === undefined ? [] : history.since(since ?? 0n);
  const subscription = history.subscribe();
  const end = () => subscription[Symbol.dispose]();
  abort.addEventListener("abort", end, { once: true });
  const isShown = (event: PublishedEvent) =>
    matchesEventFilters(event.message, filters) && (until === undefined || event.timeNano <= until);
  return {
    kind: "stream",
    status: 200,
    contentType: "application/json",
    produce: async (write) => {
      const cancelEnd = until === undefined ? () => {} : runAt(nanoToMs(until), { clock, callback: end });
      try {
        for (const event of past.filter(isShown)) await write(event.line);
        for (let batch = await subscription.next(); batch; batch = await subscription.next()) {
          for (const event of batch.filter(isShown)) await write(event.line);
        }
      } finally {
        cancelEnd();
      }
    },
  };
}

function goArch(): string {
  return Deno.build.arch === "x86_64" ? "amd64" : "arm64";
}

function refuse(feature: string): never {
  throw new HttpError(501, `the embedded engine has no ${feature}: use docker or podman (--engine)`);
}
