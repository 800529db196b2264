import type { ContainerManager } from "../containers/container_manager.ts";
import type { ContainerEventSource } from "../containers/forwarding.ts";

/** {@linkcode ContainerManager}, as far as workspaces need it. */
export type WorkspaceContainers =
  & Pick<
    ContainerManager,
    | "create"
    | "start"
    | "stop"
    | "kill"
    | "remove"
    | "inspect"
    | "openInput"
    | "find"
    | "list"
    | "owns"
    | "instance"
    | "engineId"
    | "isCaughtUp"
  >
  & WorkspaceContainerEvents
  & EngineReturns;

/** The engine answers (again); what happened until then has been told. */
export interface EngineReturns {
  on(name: "engine:connected" | "engine:caught-up", listener: () => void): unknown;
  off(name: "engine:connected" | "engine:caught-up", listener: () => void): unknown;
}

/** The events of containers that come from the manager itself; `container:health` comes from the health monitor. */
export type WorkspaceContainerEvents =
  & ContainerEventSource<"container:created">
  & ContainerEventSource<"container:started">
  & ContainerEventSource<"container:stopped">
  & ContainerEventSource<"container:died">
  & ContainerEventSource<"container:removed">
  & ContainerEventSource<"container:operation_failed">;
