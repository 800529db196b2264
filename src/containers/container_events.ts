/**
 * The in-process container events of ADR-061: names with a colon, timestamps as `Date`, `success` always there.
 * `src/daemon/wire_form.ts` turns them into what crosses a socket.
 */
import type { HealthStatus } from "../protocol/wire_event.ts";

/** What every container event carries. */
export interface ContainerEventBase {
  /** The engine's full id, 64 hex digits. */
  readonly containerId: string;
  /** Without the leading slash. */
  readonly containerName: string;
  readonly image: string;
  /** Present when the container belongs to a task. */
  readonly taskId?: string;
  /** The engine's time of it. */
  readonly timestamp: Date;
  /** `reconciled`: inferred by comparing state after the engine's stream was interrupted. */
  readonly origin?: "reconciled";
  /** False only for an operation that failed; then `error` says why. */
  readonly success: boolean;
  readonly error?: string;
}

export interface ContainerCreatedEvent extends ContainerEventBase {
  readonly labels?: Readonly<Record<string, string>>;
}

export type ContainerStartedEvent = ContainerEventBase;

/** The process ended because somebody asked the engine to stop it. */
export interface ContainerStoppedEvent extends ContainerEventBase {
  /** Absent only when a label named `exitCode` hides it and the container was gone before it could be asked. */
  readonly exitCode?: number;
  /** It ended without SIGKILL. */
  readonly graceful: boolean;
  /** Milliseconds from start to end, when the start was seen. */
  readonly runDuration?: number;
}

/** The process ended by itself or was killed; exit code 0 included. */
export interface ContainerDiedEvent extends ContainerEventBase {
  /** Absent only when a label named `exitCode` hides it and the container was gone before it could be asked. */
  readonly exitCode?: number;
  /** Name of the signal that ended it, `SIGKILL` for example. */
  readonly signal?: string;
  readonly oomKilled: boolean;
  /** Milliseconds from start to end, when the start was seen. */
  readonly runDuration?: number;
}

export interface ContainerRemovedEvent extends ContainerEventBase {
  /** Known for apex's own removals only. */
  readonly forced?: boolean;
  /** Of its last run, when that is known. */
  readonly exitCode?: number;
}

export interface ContainerHealthEvent extends ContainerEventBase {
  readonly status: HealthStatus;
  readonly previousStatus?: HealthStatus;
  readonly failingStreak?: number;
  readonly lastCheckExitCode?: number;
  /** At most 4 KiB. */
  readonly lastCheckOutput?: string;
  readonly lastCheckTime?: Date;
}

/** Each change of a container's state, for those who want them all. Stays inside ContainerManager's own emitter. */
export interface ContainerLifecycleEvent extends ContainerEventBase {
  readonly action: LifecycleAction;
}

export type LifecycleAction =
  | "create"
  | "start"
  | "kill"
  | "oom"
  | "die"
  | "stop"
  | "restart"
  | "pause"
  | "unpause"
  | "rename"
  | "remove";

/** The container events that are forwarded from layer to layer, by name. */
export interface ContainerEvents {
  "container:created": ContainerCreatedEvent;
  "container:started": ContainerStartedEvent;
  "container:stopped": ContainerStoppedEvent;
  "container:died": ContainerDiedEvent;
  "container:removed": ContainerRemovedEvent;
  "container:health": ContainerHealthEvent;
}

export type ContainerEventName = keyof ContainerEvents;

/** Their names, in the order of a container's life; the layers forward exactly these. */
export const CONTAINER_EVENT_NAMES: readonly ContainerEventName[] = [
  "container:created",
  "container:started",
  "container:health",
  "container:stopped",
  "container:died",
  "container:removed",
];
