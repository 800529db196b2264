/**
 * What `stream.snapshot` says of containers: what the events up to its cursor have told, and no more, so that a snapshot
 * and the events after it make every later snapshot. `containers.list` says more: pauses, checks that have only begun.
 */
import type { ContainerRecord, ContainerState } from "../../containers/container_record.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { ContainerResult } from "../../protocol/control.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import { containerResult } from "./wire_results.ts";

/** A container as its events have told of it. */
export interface SnapshotContainer extends Omit<ContainerResult, "state" | "health" | "exitCode"> {
  readonly state: "created" | "running" | "exited";
  /** Of a running one, as last told since it started. */
  readonly health?: "healthy" | "unhealthy";
  /** Of an exited one, when it is known. */
  readonly exitCode?: number;
}

export function snapshotContainer(record: ContainerRecord): SnapshotContainer {
  const { state: _, health, exitCode, finishedAt, ...rest } = containerResult(record);
  const state = toldState(record.state);
  return {
    ...rest,
    state,
    ...(state === "running" && definedFields({ health: toldHealth(health) })),
    ...(state === "exited" && definedFields({ exitCode, finishedAt })),
  };
}

/** No event tells of a pause, or that the engine waits before it restarts a container. */
function toldState(state: ContainerState): SnapshotContainer["state"] {
  switch (state) {
    case "created":
    case "running":
    case "exited":
      return state;
    case "paused":
      return "running";
    case "restarting":
    case "removed":
      return "exited";
  }
}

/** A start is told, but not that the checks begin anew with it. */
function toldHealth(health: HealthStatus | undefined): SnapshotContainer["health"] {
  return health === "healthy" || health === "unhealthy" ? health : undefined;
}
