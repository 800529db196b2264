/** The one place where in-process events become lines of the event log. */
import type {
  EngineConnectedEvent,
  EngineDisconnectedEvent,
} from "../../containers/changes/container_events.ts";
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { EngineAddress } from "../../engine/discovery/engine_address.ts";
import type { EngineKind } from "../../engine/engine_client.ts";
import type { EventLog } from "../../eventlog/event_log.ts";
import type {
  AnyContainerListener,
  AnyTaskListener,
  ApexOrchestrator,
} from "../../orchestrator/apex_orchestrator.ts";
import type { Logger } from "../../platform/logger.ts";
import type { WorkspaceEvent } from "../../workspaces/workspace.ts";
import { type PublishedEvents, toWireEvent } from "../control_socket/wire_form.ts";

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
