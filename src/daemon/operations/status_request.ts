import type { StatusResult } from "../../protocol/daemon_operations.ts";
import { PROTOCOL_VERSION, VERSION } from "../../protocol/version.ts";
import type { OperationContext } from "./operation_context.ts";
import type { SessionRequests } from "./session_requests.ts";

export interface StatusOptions extends OperationContext {
  readonly sessions: Pick<SessionRequests, "results">;
  /** Milliseconds since the Unix epoch. */
  readonly startedAtMs: number;
}

/** The daemon's status, from memory. */
export function statusResult(options: StatusOptions): StatusResult {
  const { paths, flags, backgroundLog, engine, log, orchestrator, storage, clock, startedAtMs } = options;
  const stats = log.stats();
  const tasks = orchestrator.listTasks();
  const running = tasks.filter(({ state }) => state === "running").length;
  const sessions = options.sessions.results();
  const attached = sessions.filter(({ status }) => status === "attached").length;
  return {
    version: VERSION,
    protocol: PROTOCOL_VERSION,
    instance: options.containers.instance,
    pid: Deno.pid,
    startedAt: new Date(startedAtMs).toISOString(),
    uptimeMs: clock.now() - startedAtMs,
    engine: engine.current,
    sockets: { control: paths.controlSocket, events: paths.eventsSocket },
    paths: {
      state: paths.stateDir,
      config: paths.configFile,
      ...(backgroundLog !== undefined && { log: backgroundLog }),
    },
    flags: [...flags],
    sessions: { attached, detached: sessions.length - attached },
    subscribers: stats.subscribers,
    eventsPublished: stats.eventsPublished,
    subscribersDropped: stats.subscribersDropped,
    log: { bytes: stats.memoryBytes, oldest: stats.oldestSeq, head: stats.headSeq, epoch: log.epoch },
    tasks: { running, pending: tasks.length - running },
    storage: { ...storage.status },
    journal: journalStatus(options),
  };
}

const JOURNAL_STATES = { on: "ok", off: "off", failed: "degraded" } as const;

function journalStatus({ journal, storage }: StatusOptions): StatusResult["journal"] {
  const { state, oldestSeq } = journal.status;
  const { error } = storage.status;
  return {
    state: JOURNAL_STATES[state],
    ...(state === "failed" && error !== undefined && { error }),
    oldest: oldestSeq,
    bytes: storage.bytes,
  };
}
