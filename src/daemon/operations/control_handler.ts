/** Which part of the daemon carries out which operation. Whatever the event stream tells can be asked for here as well. */
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { EventLog } from "../../eventlog/event_log.ts";
import type { ApexOrchestrator } from "../../orchestrator/apex_orchestrator.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Paths } from "../../platform/directories.ts";
import type { Logger } from "../../platform/logger.ts";
import type { EventJournal } from "../../storage/journal/event_journal.ts";
import type { Storage } from "../../storage/storage.ts";
import type { WorkspaceManager } from "../../workspaces/workspace_manager.ts";
import type { ControlHandler } from "../control_socket/control_server.ts";
import type { EngineStatus } from "../engine_status.ts";
import type { TaskAdoption } from "../task_adoption.ts";
import { ContainerRequests, WaitRequests } from "./container_requests.ts";
import type { EventRequests } from "./event_requests.ts";
import { KeptTaskOutput } from "./kept_output.ts";
import { LogRequests } from "./log_requests.ts";
import { Readiness } from "./readiness.ts";
import type { SessionRequests } from "./session_requests.ts";
import { statusResult } from "./status_request.ts";
import { Targets } from "./targets.ts";
import { TaskRequests } from "./task_requests.ts";
import { WorkspaceRequests } from "./workspace_requests.ts";

export interface ControlHandlerOptions {
  readonly paths: Paths;
  /** The options that the daemon was started with. */
  readonly flags: readonly string[];
  /** Where its log goes, if it runs in the background. */
  readonly backgroundLog: string | undefined;
  /** Begins the daemon's end. */
  readonly stop: () => void;
  readonly containers: ContainerManager;
  readonly workspaces: WorkspaceManager;
  readonly orchestrator: ApexOrchestrator;
  readonly adoption: TaskAdoption;
  readonly storage: Pick<Storage, "status" | "bytes" | "outputs">;
  /** Whether the output of tasks is kept when their containers are removed. */
  readonly keepsOutput: boolean;
  readonly journal: EventJournal;
  readonly engine: EngineStatus;
  readonly log: EventLog;
  readonly events: EventRequests;
  readonly sessions: SessionRequests;
  /** For tasks that name none. */
  readonly defaultImage: string;
  /** The daemon's engine, as `--engine` takes it. */
  readonly engineChoice: string;
  /** Whether apex itself watches the health of that container. */
  readonly isHealthWatched: (containerId: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Makes the function that carries out requests. */
export function controlHandler(options: ControlHandlerOptions): ControlHandler {
  const startedAtMs = options.clock.now();
  const ready = new Readiness(options);
  const targets = new Targets(options);
  const { outputs } = options.storage;
  const kept = new KeptTaskOutput({ ...options, outputs });
  const containers = new ContainerRequests({ ...options, targets, kept });
  const waits = new WaitRequests({ ...options, targets });
  const logs = new LogRequests({ ...options, targets, outputs, kept });
  const tasks = new TaskRequests({ ...options, targets });
  const workspaces = new WorkspaceRequests(options);
  const { events, sessions } = options;
  return async (request, signal) => {
    switch (request.op) {
      case "status":
        return { ok: true, result: statusResult({ ...options, startedAtMs }) };
      case "stop":
        options.logger.info("a client asks this daemon to end");
        return { ok: true, result: { pid: Deno.pid }, afterReply: options.stop };
      case "containers.list":
        await ready.containersKnown(signal);
        return containers.list();
      case "containers.inspect":
        await ready.containersKnown(signal);
        return await containers.inspect(request, signal);
      case "containers.logs":
        await (request.follow ? ready.containersCaughtUp(signal) : ready.containersKnown(signal));
        return await logs.logs(request, signal);
      case "containers.wait":
        await ready.tasksKnown(signal);
        // A task's end is known without an engine, too.
        if (!waits.isAboutTaskAlone(request)) await ready.containersCaughtUp(signal);
        return waits.wait(request);
      case "tasks.run":
        await ready.tasksUsable(signal);
        await ready.engineConnected(signal);
        return tasks.run(request);
      case "tasks.list":
        await ready.tasksKnown(signal);
        return tasks.list(request);
      case "tasks.cancel":
        await ready.tasksUsable(signal);
        return await tasks.cancel(request);
      case "tasks.signal":
        await ready.tasksUsable(signal);
        return await tasks.signal(request);
      case "tasks.wait":
        await ready.tasksKnown(signal);
        return tasks.wait(request);
      case "workspaces.list":
        await ready.ownersKnown(signal);
        return workspaces.list(request);
      case "workspaces.clean":
        await ready.ownersKnown(signal);
        return await workspaces.clean(request);
      case "sessions.attach":
        await ready.containersKnown(signal);
        if (!sessions.results().some(({ name }) => name === request.name)) {
          await ready.engineConnected(signal);
        }
        return await sessions.answer(request);
      case "sessions.list":
      case "sessions.detach":
      case "sessions.kill":
        await ready.containersKnown(signal);
        return await sessions.answer(request);
      case "events.subscribe":
        if (!request.snapshot) return events.subscribe(request);
        await ready.containersKnown(signal);
        await ready.tasksKnown(signal);
        await sessions.ready();
        // No `await` from here on: the snapshot is of the moment at which the stream begins.
        return events.subscribe(request, {
          containers: containers.told(),
          sessions: sessions.results(),
          tasks: tasks.results({ all: false }),
        });
      case "events.history":
        return events.history(request);
    }
  };
}
