/**
 * The in-process events of containers and of their engine. Names have a colon, timestamps are `Date`s, and container
 * events always have `success`. `src/daemon/events_socket/publish.ts` translates them for the sockets.
 */
import type { EngineKind } from "../../engine/engine_client.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import type { HealthDetails, LifecycleAction } from "./container_change.ts";

/** What every container event carries. */
export interface ContainerEventBase {
  /** The engine's full id, 64 hex digits. */
  readonly containerId: string;
  /** Without the leading slash. */
  readonly containerName: string;
  readonly image: string;
  /** Present when the container belongs to a task. */
  readonly taskId?: string;
  /** The engine's time. */
  readonly timestamp: Date;
  /** `reconciled`: inferred by comparing state after the engine's stream was interrupted. */
  readonly origin?: "reconciled";
  /** The change happened; {@linkcode ContainerOperationFailedEvent} has `false`. */
  readonly success: true;
}

/** An operation of apex on a container. */
export type ContainerOperation =
  | "create"
  | "start"
  | "stop"
  | "kill"
  | "restart"
  | "remove"
  | "rename"
  | "pause"
  | "unpause"
  | "exec";

/**
 * An operation of apex failed, and nothing happened to the container. The event has the name of the event that a success
 * would have led to (`container:stopped` for `stop`, `kill` and `restart`), or `container:operation_failed` if no such
 * event exists.
 */
export interface ContainerOperationFailedEvent {
  readonly success: false;
  readonly operation: ContainerOperation;
  /** The container, as far as it is known or was named. */
  readonly containerId?: string;
  readonly containerName?: string;
  readonly image?: string;
  readonly taskId?: string;
  /** apex's own time. */
  readonly timestamp: Date;
  /** What failed, and the engine's reason. */
  readonly error: string;
}

export interface ContainerCreatedEvent extends ContainerEventBase {
  readonly labels?: Readonly<Record<string, string>>;
}

export type ContainerStartedEvent = ContainerEventBase;

/** The process ended because a client asked the engine to stop the container. */
export interface ContainerStoppedEvent extends ContainerEventBase {
  /** Absent only when a label named `exitCode` hides it, and the container was removed before apex could inspect it. */
  readonly exitCode?: number;
  /** The process ended without SIGKILL. */
  readonly graceful: boolean;
  /** Milliseconds from start to end; absent when the start is not known. */
  readonly runDuration?: number;
}

/** The process ended by itself, with any exit code, or was killed. */
export interface ContainerDiedEvent extends ContainerEventBase {
  /** Absent only when a label named `exitCode` hides it, and the container was removed before apex could inspect it. */
  readonly exitCode?: number;
  /** Name of the Unix signal that ended the process, `SIGKILL` for example. */
  readonly signal?: string;
  readonly oomKilled: boolean;
  /** The engine's own words, if it had any. */
  readonly error?: string;
  /** Milliseconds from start to end; absent when the start is not known. */
  readonly runDuration?: number;
}

export interface ContainerRemovedEvent extends ContainerEventBase {
  /** Whether apex removed a container that ran, by force. Present for apex's own removals only. */
  readonly forced?: boolean;
  /** Of the last run, when it is known. */
  readonly exitCode?: number;
}

export interface ContainerHealthEvent extends ContainerEventBase {
  readonly status: HealthStatus;
  readonly previousStatus?: HealthStatus;
  readonly failingStreak?: number;
  readonly lastCheckExitCode?: number;
  /** At most 4 KiB as UTF-8. */
  readonly lastCheckOutput?: string;
  readonly lastCheckTime?: Date;
}

/** Each change of a container's state. Emitted by ContainerManager only, and not forwarded. */
export interface ContainerLifecycleEvent extends ContainerEventBase {
  readonly action: LifecycleAction;
}

/**
 * The container events that are forwarded from layer to layer, by name. An event that an operation of apex leads to may
 * also report the operation's failure: check `success` first.
 */
export interface ContainerEvents {
  "container:created": ContainerCreatedEvent | ContainerOperationFailedEvent;
  "container:started": ContainerStartedEvent | ContainerOperationFailedEvent;
  "container:stopped": ContainerStoppedEvent | ContainerOperationFailedEvent;
  "container:died": ContainerDiedEvent;
  "container:removed": ContainerRemovedEvent | ContainerOperationFailedEvent;
  "container:health": ContainerHealthEvent;
  "container:operation_failed": ContainerOperationFailedEvent;
}

export type ContainerEventName = keyof ContainerEvents;

/** The names of the events that layers forward. */
export const CONTAINER_EVENT_NAMES: readonly ContainerEventName[] = [
  "container:created",
  "container:started",
  "container:health",
  "container:stopped",
  "container:died",
  "container:removed",
  "container:operation_failed",
];

/** The engine is connected, and its containers are known. */
export interface EngineConnectedEvent {
  readonly engine: EngineKind;
  readonly version: string;
  readonly timestamp: Date;
}

/** What happened while the engine was not connected has been published, as far as it can be known. */
export interface EngineCaughtUpEvent {
  readonly engine: EngineKind;
  readonly timestamp: Date;
}

/** The engine does not answer; apex retries until it does. Emitted once per loss, not per try. */
export interface EngineDisconnectedEvent {
  /** Absent until an engine has answered. */
  readonly engine?: EngineKind;
  readonly error: string;
  readonly timestamp: Date;
}

/** One report of a container's health, whether it has changed or not. For the health monitor only. */
export interface ContainerHealthReport extends ContainerEventBase, HealthDetails {
  readonly status: HealthStatus;
  /** The status in the registry before this report. */
  readonly previousStatus?: HealthStatus;
  /** From the monitor's own watch, whose checks the monitor itself reports. */
  readonly fromWatch?: true;
}

/** What {@linkcode ContainerManager} emits, by name. */
export interface ManagerEvents extends Omit<ContainerEvents, "container:health"> {
  "container:lifecycle": ContainerLifecycleEvent;
  /** The health monitor makes `container:health` of it. */
  "health:report": ContainerHealthReport;
  "engine:connected": EngineConnectedEvent;
  /** Follows each `engine:connected`: at once if nothing can have been missed, else after a comparison. */
  "engine:caught-up": EngineCaughtUpEvent;
  "engine:disconnected": EngineDisconnectedEvent;
}

export type ManagerEventName = keyof ManagerEvents;

/** A layer that emits one kind of container event. */
export interface ContainerEventSource<Name extends keyof ContainerEvents> {
  /** Adds a listener. The returned function removes it. */
  on(name: Name, listener: (event: ContainerEvents[Name]) => void): () => void;
}
