/**
 * Publishes the in-process events: the only place where they become lines of the event log. An event is appended in the
 * synchronous block in which it is emitted, so the order of lines is the order of events.
 */
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
import type {
  OrchestratorListener,
  OrchestratorListenerName,
} from "../../orchestrator/orchestrator_events.ts";
import type { TaskEvents } from "../../orchestrator/task.ts";
import type { Logger } from "../../platform/logger.ts";
import type { WireEvent } from "../../protocol/wire_event.ts";
import { SESSION_EVENT_NAMES, type SessionEvents } from "../../sessions/session.ts";
import type { SessionPool } from "../../sessions/session_pool.ts";
import type { WorkspaceEvents } from "../../workspaces/workspace.ts";

export interface PublishOptions {
  readonly log: EventLog;
  /** The source of engine events. */
  readonly containers: ContainerManager;
  /** The source of container, workspace and task events. */
  readonly orchestrator: ApexOrchestrator;
  readonly engine: EngineAddress;
  /** For the connection to the engine. */
  readonly logger: Logger;
}

/** Publishes the events of containers, workspaces, tasks and the engine until it is disposed. */
export function publish({ log, containers, orchestrator, engine, logger }: PublishOptions): Disposable {
  const append = <N extends keyof PublishedEvents>(name: N, event: PublishedEvents[N]): void => {
    log.append(toWireEvent(name, event));
  };
  const subscriptions = new DisposableStack();
  const forward = <N extends OrchestratorListenerName>(name: N, listener: OrchestratorListener<N>): void => {
    orchestrator.on(name, listener);
    subscriptions.defer(() => orchestrator.off(name, listener));
  };
  forward("container:*", (event, name) => append(name, event));
  forward("task:*", (event, name) => append(name, event));
  forward("workspace-created", (event) => append("workspace-created", event));
  forward("workspace-cleaned", (event) => append("workspace-cleaned", event));
  subscriptions.defer(containers.on("engine:connected", (event) => {
    append("engine:connected", event);
    logger.info(`following ${event.engine} ${event.version} at ${engine.socketPath}`);
  }));
  subscriptions.defer(containers.on("engine:disconnected", (event) => {
    append("engine:disconnected", { engine: presumedKind(engine), ...event });
    logger.warn(`lost the engine, trying again: ${event.error}`);
  }));
  return subscriptions;
}

/** Publishes the events of sessions until it is disposed. */
export function publishSessions({ log, sessions }: { log: EventLog; sessions: SessionPool }): Disposable {
  const subscriptions = new DisposableStack();
  for (const name of SESSION_EVENT_NAMES) {
    subscriptions.defer(sessions.on(name, (event) => void log.append(toWireEvent(name, event))));
  }
  return subscriptions;
}

/** The most likely kind of an engine that has never answered. */
function presumedKind({ embedded, socketPath }: EngineAddress): EngineKind {
  if (embedded) return "embedded";
  return socketPath.includes("podman") ? "podman" : "docker";
}

/** The in-process events that are published. */
export interface PublishedEvents extends ContainerEvents, WorkspaceEvents, TaskEvents, SessionEvents {
  "engine:connected": EngineConnectedEvent;
  "engine:disconnected": EngineDisconnectedEvent & { readonly engine: EngineKind };
}

/**
 * The wire form of an in-process event: its name with a dot, times as RFC 3339, and without `success` and undefined fields. The
 * other fields keep their names and their order. Every failed operation becomes `container.operation_failed`, whatever its
 * in-process name: a `container.stopped` on the wire means that a container has stopped.
 *
 * @param name the in-process name, `container:died` or `workspace-created` for example
 */
export function toWireEvent<N extends keyof PublishedEvents>(name: N, event: PublishedEvents[N]): WireEvent {
  const hasFailed = "success" in event && event.success === false;
  const wire: Record<string, unknown> = {
    type: hasFailed ? "container.operation_failed" : name.replace(/[:-]/, "."),
  };
  for (const [key, value] of Object.entries(event)) {
    if (value === undefined || key === "success") continue;
    wire[key] = value instanceof Date ? value.toISOString() : value;
  }
  // The in-process events have the fields of the wire schemas: publish_test.ts parses each event with its schema.
  return wire as unknown as WireEvent;
}
