import type { HealthStatus } from "../../protocol/wire_event.ts";
import type { HealthDetails } from "../changes/container_change.ts";
import type { ContainerEvents } from "../changes/container_events.ts";

/** A container's health is followed from now on, or no more. */
export interface MonitoringEvent {
  readonly containerId: string;
  readonly containerName: string;
  readonly taskId?: string;
  readonly timestamp: Date;
}

/** One look at a container's health, changed or not: for Podman and the watch each check, for Docker transitions. */
export interface HealthCheckEvent extends MonitoringEvent, HealthDetails {
  /** After it; absent when the watch has not made up its mind. */
  readonly status?: HealthStatus;
}

/** What {@linkcode ContainerHealthMonitor} emits, by name. Only `container:health` is forwarded. */
export interface HealthMonitorEvents {
  "container:health": ContainerEvents["container:health"];
  "monitoring:started": MonitoringEvent;
  "monitoring:stopped": MonitoringEvent;
  "health:check:success": HealthCheckEvent;
  "health:check:failed": HealthCheckEvent;
}

/** A container whose health is followed, and what is known of that. */
export interface MonitoredContainer extends HealthDetails {
  readonly containerId: string;
  readonly containerName: string;
  readonly taskId?: string;
  /** `healthcheck`: the engine checks it, as its HEALTHCHECK says; `stats`: apex watches what it uses. */
  readonly source: "healthcheck" | "stats";
  /** Absent until it is known. */
  readonly status?: HealthStatus;
}
