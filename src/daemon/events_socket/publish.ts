/** The one place where in-process events become lines of the event log. */
import type {
  ContainerEvents,
  EngineConnectedEvent,
  EngineDisconnectedEvent,
} from "../../containers/changes/container_events.ts";
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { EngineAddress } from "../../engine/discovery/engine_address.ts";
import type { EngineKind } from "../../engine/engine_client.ts";
import type { EventLog } from "../../eventlog/event_log.ts";
import type { ApexOrchestrator } from "../../orchestrator/apex_orchestrator.ts";
import type { AnyContainerListener, AnyTaskListener } from "../../orchestrator/orchestrator_events.ts";
import type { TaskEvents } from "../../orchestrator/task.ts";
import type { Logger } from "../../platform/logger.ts";
import type { WireEvent } from "../../protocol/wire_event.ts";
import { SESSION_EVENT_NAMES, type SessionEvents } from "../../sessions/session.ts";
import type { SessionPool } from "../../sessions/session_pool.ts";
import type { WorkspaceEvent, WorkspaceEvents } from "../../workspaces/workspace.ts";

export interface PublishOptions {
  readonly log: EventLog;
  /** Tells of the engine's connection. */
  readonly containers: ContainerManager;
  /** Tells of containers, workspaces and tasks. */
  readonly orchestrator: ApexOrchestrator;
  readonly engine: EngineAddress;
  /** Told of the engine's comings and goings. */
  readonly logger: Logger;
}

/** Appends each event to the log in the synchronous block in which it is told. Disposing ends that. */
export function publish({ log, containers, orchestrator, engine, logger }: PublishOptions): Disposable {
  const append = <N extends keyof PublishedEvents>(name: N, event: PublishedEvents[N]): void => {
    log.append(toWireEvent(name, event));
  };
  const onContainer: AnyContainerListener = (event, name) => append(name, event);
  const onTask: AnyTaskListener = (event, name) => append(name, event);
  const onWorkspaceCreated = (event: WorkspaceEvent): void => append("workspace-created", event);
  const onWorkspaceCleaned = (event: WorkspaceEvent): void => append("workspace-cleaned", event);
  const onConnected = (event: EngineConnectedEvent): void => {
    append("engine:connected", event);
    logger.info(`following ${event.engine} ${event.version} at ${engine.socketPath}`);
  };
  const onDisconnected = (event: EngineDisconnectedEvent): void => {
    append("engine:disconnected", { engine: presumedKind(engine), ...event });
    logger.warn(`lost the engine, trying again: ${event.error}`);
  };
  orchestrator.on("container:*", onContainer);
  orchestrator.on("task:*", onTask);
  orchestrator.on("workspace-created", onWorkspaceCreated);
  orchestrator.on("workspace-cleaned", onWorkspaceCleaned);
  containers.on("engine:connected", onConnected);
  containers.on("engine:disconnected", onDisconnected);
  return {
    [Symbol.dispose]() {
      orchestrator.off("container:*", onContainer);
      orchestrator.off("task:*", onTask);
      orchestrator.off("workspace-created", onWorkspaceCreated);
      orchestrator.off("workspace-cleaned", onWorkspaceCleaned);
      containers.off("engine:connected", onConnected);
      containers.off("engine:disconnected", onDisconnected);
    },
  };
}

/** What an engine that has never answered most likely is. */
function presumedKind({ embedded, socketPath }: EngineAddress): EngineKind {
  if (embedded) return "embedded";
  return socketPath.includes("podman") ? "podman" : "docker";
}

/** Appends each event of a session to the log, in the synchronous block of the change. Disposing ends that. */
export function publishSessions({ log, sessions }: { log: EventLog; sessions: SessionPool }): Disposable {
  const subscriptions = SESSION_EVENT_NAMES.map((name) =>
    sessions.on(name, (event) => void log.append(toWireEvent(name, event)))
  );
  return {
    [Symbol.dispose]() {
      for (const end of subscriptions.splice(0)) end();
    },
  };
}

/** From an in-process event to the one that crosses a socket: dots for colons, RFC 3339 for `Date`, no `success`. */

/** Everything in the process that has a wire form. */
export interface PublishedEvents extends ContainerEvents, WorkspaceEvents, TaskEvents, SessionEvents {
  "engine:connected": EngineConnectedEvent;
  "engine:disconnected": EngineDisconnectedEvent & { readonly engine: EngineKind };
}

/**
 * The wire form of one event. Fields keep their order and names; `undefined` ones are left out. What failed is
 * `container.operation_failed`, under whatever name it came: a `container.stopped` means that something stopped.
 *
 * @param name the in-process name, `container:died` or `workspace-created` for example
 */
export function toWireEvent<N extends keyof PublishedEvents>(name: N, event: PublishedEvents[N]): WireEvent {
  const failed = "success" in event && event.success === false;
  const wire: Record<string, unknown> = {
    type: failed ? "container.operation_failed" : name.replace(/[:-]/, "."),
  };
  for (const [key, value] of Object.entries(event)) {
    if (value === undefined || key === "success") continue;
    wire[key] = value instanceof Date ? value.toISOString() : value;
  }
  // The payloads name the same fields as the wire schemas; wire_form_test.ts parses each with its schema.
  return wire as unknown as WireEvent;
}
