import type { HealthStatus } from "../../protocol/wire_event.ts";

/** The engine's own words for a container's state; `removed` is never listed. */
export type ContainerState = "created" | "running" | "paused" | "restarting" | "exited" | "removed";

/** What apex knows of one container; as rich as the events that tell of it. */
export interface ContainerRecord {
  /** The engine's full id. */
  readonly id: string;
  /** Without the leading slash. */
  readonly name: string;
  readonly image: string;
  readonly taskId?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: ContainerState;
  /** Present when the container has a health check whose result is known. */
  readonly health?: HealthStatus;
  /** Of its last run, once that has ended and when it is known. */
  readonly exitCode?: number;
  readonly createdAt?: Date;
  /** Start of its last run. */
  readonly startedAt?: Date;
  /** End of its last run, once that has ended. */
  readonly finishedAt?: Date;
}
