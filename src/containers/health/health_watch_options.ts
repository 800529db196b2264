import { ApexError } from "../../platform/apex_error.ts";

/** What a container may use, and how often that is checked. */
export interface HealthWatchLimits {
  /** From the end of a check to the next one. */
  readonly intervalMs: number;
  /** Share of the container's memory limit, more than 0 and at most 1. Without a limit, of the machine's memory. */
  readonly memoryShareLimit: number;
  /** Share of the container's limit of processes, more than 0 and at most 1. */
  readonly pidsShareLimit: number;
  /** The container is unhealthy after this number of checks in a row over a limit. */
  readonly failureThreshold: number;
}

/** The watch on what containers without a HEALTHCHECK use; see `stats_watch.ts`. */
export interface HealthWatchOptions extends HealthWatchLimits {
  /** Watch every such container that runs. Containers that are added by hand are watched either way. */
  readonly enabled: boolean;
}

export const DEFAULT_HEALTH_WATCH: HealthWatchOptions = {
  enabled: false,
  intervalMs: 30_000,
  memoryShareLimit: 0.9,
  pidsShareLimit: 0.9,
  failureThreshold: 3,
};

/** The longest time that a timer can wait. */
const MAX_INTERVAL_MS = 2 ** 31 - 1;

/** @throws {ApexError} `usage`, naming the invalid value */
export function checkHealthWatch<Options extends Partial<HealthWatchOptions>>(options: Options): Options {
  const { intervalMs, memoryShareLimit, pidsShareLimit, failureThreshold } = options;
  if (intervalMs !== undefined && !(intervalMs >= 1 && intervalMs <= MAX_INTERVAL_MS)) {
    throw invalid("interval", intervalMs, "use 1 ms to 24 days");
  }
  for (const [name, share] of [["memory share", memoryShareLimit], ["pids share", pidsShareLimit]] as const) {
    if (share !== undefined && !(share > 0 && share <= 1)) {
      throw invalid(name, share, "use more than 0 and at most 1");
    }
  }
  if (failureThreshold !== undefined && !(Number.isInteger(failureThreshold) && failureThreshold >= 1)) {
    throw invalid("failures", failureThreshold, "must be a positive integer");
  }
  return options;
}

function invalid(name: string, value: number, advice: string): ApexError {
  return new ApexError("usage", `cannot watch health with ${name} ${value}: ${advice}`);
}
