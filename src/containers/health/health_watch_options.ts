import { ApexError } from "../../platform/apex_error.ts";

/** What a container may use, and how often that is looked at. */
export interface HealthWatchLimits {
  /** Between the end of a check and the next. */
  readonly intervalMs: number;
  /** Share of its memory limit, more than 0 and at most 1. A container without a limit has the machine's. */
  readonly memoryShareLimit: number;
  /** Share of its limit of processes, more than 0 and at most 1. */
  readonly pidsShareLimit: number;
  /** So many checks in a row over a limit, and it is unhealthy. */
  readonly failureThreshold: number;
}

/** The watch on what containers without a HEALTHCHECK use. */
export interface HealthWatchOptions extends HealthWatchLimits {
  /** Watch every such container that runs. Those that are added by hand are watched either way. */
  readonly enabled: boolean;
}

export const DEFAULT_HEALTH_WATCH: HealthWatchOptions = {
  enabled: false,
  intervalMs: 30_000,
  memoryShareLimit: 0.9,
  pidsShareLimit: 0.9,
  failureThreshold: 3,
};

/** The longest that a timer can wait. */
const MAX_INTERVAL_MS = 2 ** 31 - 1;

/** @throws {ApexError} `usage` that names the value */
export function checkHealthWatch<Options extends Partial<HealthWatchOptions>>(options: Options): Options {
  const { intervalMs, memoryShareLimit, pidsShareLimit, failureThreshold } = options;
  if (intervalMs !== undefined && !(intervalMs >= 1 && intervalMs <= MAX_INTERVAL_MS)) {
    throw invalid("interval", intervalMs, "give 1 ms to 24 days");
  }
  for (const [name, share] of [["memory share", memoryShareLimit], ["pids share", pidsShareLimit]] as const) {
    if (share !== undefined && !(share > 0 && share <= 1)) {
      throw invalid(name, share, "give a number above 0 and up to 1");
    }
  }
  if (failureThreshold !== undefined && !(Number.isInteger(failureThreshold) && failureThreshold >= 1)) {
    throw invalid("failures", failureThreshold, "give a whole number from 1 on");
  }
  return options;
}

function invalid(name: string, value: number, advice: string): ApexError {
  return new ApexError("usage", `cannot watch health with ${name} ${value}: out of range (${advice})`);
}
