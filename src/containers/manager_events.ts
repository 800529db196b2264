import type { EngineKind } from "../engine/engine_client.ts";
import type { HealthStatus } from "../protocol/wire_event.ts";
import type {
  ContainerEventBase,
  ContainerEvents,
  ContainerLifecycleEvent,
} from "./changes/container_events.ts";
import type { HealthDetails } from "./changes/health_details.ts";

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
