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
export type SessionContainers = Pick<
  ContainerManager,
  Operation | "find" | "list" | "owns" | "isCaughtUp" | "on"
>;

type Operation = "create" | "start" | "stop" | "kill" | "remove" | "inspect";
