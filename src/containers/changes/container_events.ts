/**
 * The in-process container events of ADR-061: names with a colon, timestamps as `Date`, `success` always there.
 * `src/daemon/control_socket/wire_form.ts` turns them into what crosses a socket.
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
  /** The engine's time of it. */
  readonly timestamp: Date;
  /** `reconciled`: inferred by comparing state after the engine's stream was interrupted. */
  readonly origin?: "reconciled";
  /** It happened; {@linkcode ContainerOperationFailedEvent} has `false`. */
  readonly success: true;
}

/** What apex can be asked to do with a container. */
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
 * An operation that apex was asked for and that failed: nothing happened to the container. It comes under the name of
 * the event that the operation would have led to (`container:stopped` for `stop`, `kill` and `restart`), or under
 * `container:operation_failed` where there is none.
 */
export interface ContainerOperationFailedEvent {
  readonly success: false;
  readonly operation: ContainerOperation;
  /** As far as the container is known, or was named. */
  readonly containerId?: string;
  readonly containerName?: string;
  readonly image?: string;
  readonly taskId?: string;
  /** apex's own time of it. */
  readonly timestamp: Date;
  /** What failed and why, with the engine's reason. */
  readonly error: string;
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
  /** The engine's own words, where it had any. */
  readonly error?: string;
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

/**
 * The container events that are forwarded from layer to layer, by name. Those that an operation of apex leads to also
 * tell of its failure: ask for `success` first.
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

/** Their names, in the order of a container's life, failures last; the layers forward exactly these. */
export const CONTAINER_EVENT_NAMES: readonly ContainerEventName[] = [
  "container:created",
  "container:started",
  "container:health",
  "container:stopped",
  "container:died",
  "container:removed",
  "container:operation_failed",
];

/** The engine answers, and its containers are known. */
export interface EngineConnectedEvent {
  readonly engine: EngineKind;
  readonly version: string;
  readonly timestamp: Date;
}

/** What happened while the engine was not heard has been told, as far as it can be known. */
export interface EngineCaughtUpEvent {
  readonly engine: EngineKind;
  readonly timestamp: Date;
}

/** The engine does not answer; tried again until it does. Once for each loss, not for each try. */
export interface EngineDisconnectedEvent {
  /** Absent as long as no engine ever answered. */
  readonly engine?: EngineKind;
  readonly error: string;
  readonly timestamp: Date;
}

/** One report of a container's health, changed or not. Only the health monitor listens to it. */
export interface ContainerHealthReport extends ContainerEventBase, HealthDetails {
  readonly status: HealthStatus;
  /** What the registry said before this report. */
  readonly previousStatus?: HealthStatus;
  /** Of the monitor's own watch, which tells of each check itself. */
  readonly fromWatch?: true;
}

/** What {@linkcode ContainerManager} emits, by name. */
export interface ManagerEvents {
  "container:created": ContainerEvents["container:created"];
  "container:started": ContainerEvents["container:started"];
  "container:stopped": ContainerEvents["container:stopped"];
  "container:died": ContainerEvents["container:died"];
  "container:removed": ContainerEvents["container:removed"];
  "container:operation_failed": ContainerEvents["container:operation_failed"];
  /** Every change of state, in the engine's own words. Not forwarded to the layers above. */
  "container:lifecycle": ContainerLifecycleEvent;
  /** For the health monitor, which makes `container:health` of it. */
  "health:report": ContainerHealthReport;
  "engine:connected": EngineConnectedEvent;
  /** After each `engine:connected`: at once where there was nothing before, else when the containers were compared. */
  "engine:caught-up": EngineCaughtUpEvent;
  "engine:disconnected": EngineDisconnectedEvent;
}

export type ManagerEventName = keyof ManagerEvents;
