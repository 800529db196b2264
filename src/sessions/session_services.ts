import type { ContainerEventSource } from "../containers/changes/container_events.ts";
import type { ContainerManager } from "../containers/container_manager.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { SessionStore } from "../storage/session_store.ts";
import type { ContainerTerminals } from "./container_terminals.ts";

/** What the classes of this folder build on. Its owner disposes all of it. */
export interface SessionServices {
  readonly containers: SessionContainers;
  readonly terminals: TerminalAccess;
  readonly store: SessionStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The operations of {@linkcode ContainerTerminals}. */
export type TerminalAccess = Pick<
  ContainerTerminals,
  "engineId" | "attach" | "attachRunning" | "tail" | "resize"
>;

/** The part of {@linkcode ContainerManager} that sessions use. */
export type SessionContainers =
  & Pick<
    ContainerManager,
    "create" | "start" | "stop" | "kill" | "remove" | "inspect" | "find" | "list" | "owns" | "isCaughtUp"
  >
  & ContainerEventSource<"container:created">
  & ContainerEventSource<"container:started">
  & ContainerEventSource<"container:stopped">
  & ContainerEventSource<"container:died">
  & ContainerEventSource<"container:removed">
  & EngineConnectionSource;

/** Emits when apex has connected to the engine, and when it has published what happened before that. */
interface EngineConnectionSource {
  on(name: "engine:connected" | "engine:caught-up", listener: () => void): unknown;
  off(name: "engine:connected" | "engine:caught-up", listener: () => void): unknown;
}
