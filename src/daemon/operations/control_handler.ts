/**
 * The handler of each operation: it waits until the daemon knows enough to answer (`readiness.ts`), and passes the request to the
 * class for its subject. Everything that the event stream reports can also be requested here.
 */
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { EventLog } from "../../eventlog/event_log.ts";
import type { ApexOrchestrator } from "../../orchestrator/apex_orchestrator.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Paths } from "../../platform/directories.ts";
import type { Logger } from "../../platform/logger.ts";
import type { EventJournal } from "../../storage/journal/event_journal.ts";
import type { Storage } from "../../storage/storage.ts";
import type { WorkspaceManager } from "../../workspaces/workspace_manager.ts";
import type { ControlHandlers } from "../control_socket/answer.ts";
import type { ControlServerOptions } from "../control_socket/control_server.ts";
import type { EngineStatus } from "../engine_status.ts";
import type { TaskAdoption } from "../task_adoption.ts";
import { ContainerRequests } from "./container_requests.ts";
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
  /** The daemon's log file, if it runs in the background. */
  readonly backgroundLog: string | undefined;
  /** Starts the end of the daemon. */
  readonly stop: () => void;
  readonly containers: ContainerManager;
  readonly workspaces: WorkspaceManager;
  readonly orchestrator: ApexOrchestrator;
  readonly adoption: TaskAdoption;
  readonly storage: Pick<Storage, "status" | "bytes" | "outputs">;
  /** Whether apex stores the output of tasks when it removes their containers. */
  readonly keepsOutput: boolean;
  readonly journal: EventJournal;
  readonly engine: EngineStatus;
  readonly log: EventLog;
  readonly events: EventRequests;
  readonly sessions: SessionRequests;
  /** For tasks without an image. */
  readonly defaultImage: string;
  /** The daemon's engine, as `--engine` takes it. */
  readonly engineChoice: string;
  /** Whether apex itself watches the health of that container. */
  readonly isHealthWatched: (containerId: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The function that carries out any request. */
export function controlHandler(options: ControlHandlerOptions): ControlServerOptions["handle"] {
  const handlers = controlHandlers(options);
  return (request, abort) => {
    const handler: (request: never, abort: AbortSignal) => ReturnType<ControlServerOptions["handle"]> =
      handlers[request.op];
    return handler(request as never, abort);
  };
}

function controlHandlers(options: ControlHandlerOptions): ControlHandlers {
  const startedAtMs = options.clock.now();
  const ready = new Readiness(options);
  const targets = new Targets(options);
  const { outputs } = options.storage;
  const kept = new KeptTaskOutput({ ...options, outputs });
  const containers = new ContainerRequests({ ...options, targets, kept });
  const logs = new LogRequests({ ...options, targets, outputs, kept });
  const tasks = new TaskRequests({ ...options, targets });
  const workspaces = new WorkspaceRequests(options);
  const { events, sessions } = options;
  return {
    "status": () => ({ result: statusResult({ ...options, startedAtMs }) }),
    "stop": () => {
      options.logger.info("a client asks this daemon to end");
      return { result: { pid: Deno.pid }, afterReply: options.stop };
    },
    "containers.list": async (_, abort) => {
      await ready.containersKnown(abort);
      return containers.list();
    },
    "containers.inspect": async (request, abort) => {
      await ready.containersKnown(abort);
      return await containers.inspect(request, abort);
    },
    "containers.logs": async (request, abort) => {
      await (request.follow ? ready.containersCaughtUp(abort) : ready.containersKnown(abort));
      return await logs.logs(request, abort);
    },
    "containers.wait": async (request, abort) => {
      await ready.tasksKnown(abort);
      // The end of a task is known without an engine, too.
      if (!containers.isAboutTaskAlone(request)) await ready.containersCaughtUp(abort);
      return containers.wait(request);
    },
    "tasks.run": async (request, abort) => {
      await ready.tasksUsable(abort);
      await ready.engineConnected(abort);
      return tasks.run(request);
    },
    "tasks.list": async (request, abort) => {
      await ready.tasksKnown(abort);
      return { result: { tasks: tasks.results(request) } };
    },
    "tasks.cancel": async (request, abort) => {
      await ready.tasksUsable(abort);
      return await tasks.cancel(request);
    },
    "tasks.signal": async (request, abort) => {
      await ready.tasksUsable(abort);
      return await tasks.signal(request);
    },
    "tasks.wait": async (request, abort) => {
      await ready.tasksKnown(abort);
      return tasks.wait(request);
    },
    "workspaces.list": async (request, abort) => {
      await ready.ownersKnown(abort);
      return workspaces.list(request);
    },
    "workspaces.clean": async (request, abort) => {
      await ready.ownersKnown(abort);
      return await workspaces.clean(request);
    },
    "sessions.attach": async (request, abort) => {
      await ready.containersKnown(abort);
      if (!sessions.results().some(({ name }) => name === request.name)) {
        await ready.engineConnected(abort);
      }
      return await sessions.attach(request);
    },
    "sessions.list": async (_, abort) => {
      await ready.containersKnown(abort);
      return await sessions.list();
    },
    "sessions.detach": async (request, abort) => {
      await ready.containersKnown(abort);
      return await sessions.detach(request);
    },
    "sessions.kill": async (request, abort) => {
      await ready.containersKnown(abort);
      return await sessions.kill(request);
    },
    "events.subscribe": async (request, abort) => {
      if (!request.snapshot) return events.subscribe(request);
      await ready.containersKnown(abort);
      await ready.tasksKnown(abort);
      await sessions.ready();
      // No `await` from here on: the snapshot shows the moment at which the stream begins.
      return events.subscribe(request, {
        containers: containers.snapshot(),
        sessions: sessions.results(),
        tasks: tasks.results({ all: false }),
      });
    },
    "events.history": (request) => events.history(request),
  };
}
