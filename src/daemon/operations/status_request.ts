import type { ContainerManager } from "../../containers/container_manager.ts";
import type { EventLog } from "../../eventlog/event_log.ts";
import type { ApexOrchestrator } from "../../orchestrator/apex_orchestrator.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Paths } from "../../platform/directories.ts";
import type { StatusResult } from "../../protocol/daemon_operations.ts";
import { PROTOCOL_VERSION, VERSION } from "../../protocol/version.ts";
import type { EventJournal } from "../../storage/journal/event_journal.ts";
import type { Storage } from "../../storage/storage.ts";
import type { EngineStatus } from "../engine_status.ts";
import type { SessionRequests } from "./session_requests.ts";

export interface StatusOptions {
  readonly paths: Paths;
  readonly flags: readonly string[];
  readonly backgroundLog: string | undefined;
  readonly sessions: Pick<SessionRequests, "results">;
  readonly containers: Pick<ContainerManager, "instance">;
  readonly engine: EngineStatus;
  readonly log: EventLog;
  readonly orchestrator: ApexOrchestrator;
  readonly storage: Pick<Storage, "status" | "bytes">;
  readonly journal: EventJournal;
  readonly clock: Clock;
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
