/** What each operation of the control socket does. Whatever the event stream tells can be asked for here as well. */
import type { ContainerManager } from "../containers/container_manager.ts";
import type { ContainerRecord } from "../containers/container_record.ts";
import type { EventLog } from "../eventlog/event_log.ts";
import type { Clock } from "../platform/clock.ts";
import type { SocketPaths } from "../platform/directories.ts";
import type { ContainerResult, ControlReply, ControlRequest, StatusResult } from "../protocol/control.ts";
import { PROTOCOL_VERSION, VERSION } from "../protocol/version.ts";
import type { EngineStatus } from "./engine_status.ts";

export interface ControlHandlerOptions {
  readonly sockets: SocketPaths;
  readonly containers: ContainerManager;
  readonly engine: EngineStatus;
  readonly log: EventLog;
  readonly clock: Clock;
}

/** Makes the function that carries out requests; it answers from memory, without waiting. */
export function controlHandler(options: ControlHandlerOptions): (request: ControlRequest) => ControlReply {
  const startedAtMs = options.clock.now();
  return ({ op }) => {
    switch (op) {
      case "status":
        return { ok: true, result: statusResult(options, startedAtMs) };
      case "containers.list":
        return { ok: true, result: { containers: options.containers.list().map(containerResult) } };
    }
  };
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
