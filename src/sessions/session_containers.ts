import type { ContainerManager } from "../containers/container_manager.ts";
import type { ContainerEventSource } from "../containers/forwarding.ts";

/** {@linkcode ContainerManager}, as far as sessions need it. */
export type SessionContainers =
  & Pick<
    ContainerManager,
    | "create"
    | "start"
    | "stop"
    | "kill"
    | "remove"
    | "inspect"
    | "find"
    | "list"
    | "owns"
    | "isCaughtUp"
  >
  & ContainerEventSource<"container:created">
  & ContainerEventSource<"container:started">
  & ContainerEventSource<"container:stopped">
  & ContainerEventSource<"container:died">
  & ContainerEventSource<"container:removed">
  & EngineConnections;

/** Tells when the engine is heard (again), and when what happened until then has been told. */
interface EngineConnections {
  on(name: "engine:connected" | "engine:caught-up", listener: () => void): unknown;
  off(name: "engine:connected" | "engine:caught-up", listener: () => void): unknown;
}
