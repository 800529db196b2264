import type { HealthCheck } from "./health_check.ts";

export type ContainerStatus = "created" | "running" | "paused" | "restarting" | "removing" | "exited";

/** What inspect and the list tell of a container. */
export interface ContainerState {
  readonly status: ContainerStatus;
  /** 0 when no process runs. */
  readonly pid: number;
  /** Of the last run that ended, or of the start that failed. */
  readonly exitCode: number;
  /** Why the last start failed; empty when it did not. */
  readonly error: string;
  readonly startedNano: bigint | undefined;
  readonly finishedNano: bigint | undefined;
  /** Of the current or the last run. */
  readonly health: HealthCheck | undefined;
  readonly restartCount: number;
}
