/**
 * The handler of each operation: it waits until the daemon knows enough to answer (`readiness.ts`), and passes the request to the
 * class for its subject. Everything that the event stream reports can also be requested here.
 */
import type { ControlHandlers } from "../control_socket/answer.ts";
import type { ControlServerOptions } from "../control_socket/control_server.ts";
import { ContainerRequests } from "./container_requests.ts";
import type { EventRequests } from "./event_requests.ts";
import { KeptTaskOutput } from "./kept_output.ts";
import { LogRequests } from "./log_requests.ts";
import type { OperationContext } from "./operation_context.ts";
import { Readiness } from "./readiness.ts";
import type { SessionRequests } from "./session_requests.ts";
import { statusResult } from "./status_request.ts";
import { Targets } from "./targets.ts";
import { TaskRequests } from "./task_requests.ts";
import { WorkspaceRequests } from "./workspace_requests.ts";

export interface ControlHandlerOptions extends OperationContext {
  readonly events: EventRequests;
  readonly sessions: SessionRequests;
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
  const kept = new KeptTaskOutput(options);
  const containers = new ContainerRequests({ ...options, targets, kept });
  const logs = new LogRequests({ ...options, targets, kept });
  const tasks = new TaskRequests({ ...options, targets });
  const workspaces = new WorkspaceRequests(options);
  const { events, sessions } = options;
  /** A handler that runs after a wait of {@linkcode Readiness}. */
  const after = <Request, Answer>(
    wait: "containersKnown" | "tasksKnown" | "tasksUsable" | "ownersKnown",
    handler: (request: Request, abort: AbortSignal) => Promise<Answer> | Answer,
  ) =>
  async (request: Request, abort: AbortSignal): Promise<Answer> => {
    await ready[wait](abort);
    return await handler(request, abort);
  };
  return {
    "status": () => ({ result: statusResult({ ...options, startedAtMs }) }),
    "stop": () => {
      options.logger.info("a client asks this daemon to end");
      return { result: { pid: Deno.pid }, afterReply: options.stop };
    },
    "containers.list": after("containersKnown", () => containers.list()),
    "containers.inspect": after("containersKnown", (request, abort) => containers.inspect(request, abort)),
    "containers.logs": async (request, abort) => {
      await (request.follow ? ready.containersCaughtUp(abort) : ready.containersKnown(abort));
      return await logs.logs(request, abort);
    },
    "containers.wait": after("tasksKnown", async (request, abort) => {
      // The end of a task is known without an engine, too.
      if (!containers.isAboutTaskAlone(request)) await ready.containersCaughtUp(abort);
      return containers.wait(request);
    }),
    "tasks.run": after("tasksUsable", async (request, abort) => {
      await ready.engineConnected(abort);
      return tasks.run(request);
    }),
    "tasks.list": after("tasksKnown", (request) => ({ result: { tasks: tasks.results(request) } })),
    "tasks.cancel": after("tasksUsable", (request) => tasks.cancel(request)),
    "tasks.signal": after("tasksUsable", (request) => tasks.signal(request)),
    "tasks.wait": after("tasksKnown", (request) => tasks.wait(request)),
    "workspaces.list": after("ownersKnown", (request) => workspaces.list(request)),
    "workspaces.clean": after("ownersKnown", (request) => workspaces.clean(request)),
    "sessions.attach": after("containersKnown", async (request, abort) => {
      const isKnown = sessions.results().some(({ name }) => name === request.name);
      if (!isKnown) await ready.engineConnected(abort);
      return await sessions.attach(request);
    }),
    "sessions.list": after("containersKnown", () => sessions.list()),
    "sessions.detach": after("containersKnown", (request) => sessions.detach(request)),
    "sessions.kill": after("containersKnown", (request) => sessions.kill(request)),
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
