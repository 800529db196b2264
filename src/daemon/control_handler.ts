/** What each operation of the control socket does. Whatever the event stream tells can be asked for here as well. */
import type { ContainerManager } from "../containers/container_manager.ts";
import type { ContainerRecord } from "../containers/container_record.ts";
import type { EventLog } from "../eventlog/event_log.ts";
import type { Clock } from "../platform/clock.ts";
import type { SocketPaths } from "../platform/directories.ts";
import type {
  ContainerResult,
  ContainersListResult,
  ControlReply,
  ControlRequest,
  StatusResult,
} from "../protocol/control.ts";
import { PROTOCOL_VERSION, VERSION } from "../protocol/version.ts";
import type { EngineStatus } from "./engine_status.ts";

export interface ControlHandlerOptions {
  readonly sockets: SocketPaths;
  readonly containers: ContainerManager;
  readonly engine: EngineStatus;
  readonly log: EventLog;
  readonly clock: Clock;
}

/** A client that comes right after the daemon's start gets the containers, not an error. */
const FIRST_CONNECTION_LIMIT_MS = 2_000;

/** Makes the function that carries out requests; it answers from memory. */
export function controlHandler(
  options: ControlHandlerOptions,
): (request: ControlRequest) => Promise<ControlReply> {
  const startedAtMs = options.clock.now();
  return async ({ op }) => {
    switch (op) {
      case "status":
        return { ok: true, result: statusResult(options, startedAtMs) };
      case "containers.list":
        return await containersReply(options);
    }
  };
}

/** An empty list before the engine was ever heard would be a lie. */
async function containersReply({ containers, engine, clock }: ControlHandlerOptions): Promise<ControlReply> {
  const timeUp = Promise.withResolvers<void>();
  const cancel = clock.after(FIRST_CONNECTION_LIMIT_MS, timeUp.resolve);
  await Promise.race([engine.firstConnection, timeUp.promise]);
  cancel();
  const { kind, state, socket, error } = engine.current;
  if (kind === undefined) {
    const message = `the containers are not known yet: ${error ?? `the engine at ${socket} does not answer`}`;
    return { ok: false, error: { code: "engine", message } };
  }
  const result: ContainersListResult = {
    containers: containers.list().map(containerResult),
    engine: state === "connected" ? "connected" : "disconnected",
  };
  return { ok: true, result };
}

function statusResult(
  { sockets, engine, log, clock }: ControlHandlerOptions,
  startedAtMs: number,
): StatusResult {
  const stats = log.stats();
  return {
    version: VERSION,
    protocol: PROTOCOL_VERSION,
    pid: Deno.pid,
    startedAt: new Date(startedAtMs).toISOString(),
    uptimeMs: clock.now() - startedAtMs,
    engine: engine.current,
    sockets: { control: sockets.controlSocket, events: sockets.eventsSocket },
    subscribers: stats.subscribers,
    eventsPublished: stats.eventsPublished,
    subscribersDropped: stats.subscribersDropped,
    log: { bytes: stats.memoryBytes, oldest: stats.oldestSeq, head: stats.headSeq },
  };
}

function containerResult({ createdAt, startedAt, finishedAt, ...record }: ContainerRecord): ContainerResult {
  return {
    ...record,
    ...(createdAt && { createdAt: createdAt.toISOString() }),
    ...(startedAt && { startedAt: startedAt.toISOString() }),
    ...(finishedAt && { finishedAt: finishedAt.toISOString() }),
  };
}
