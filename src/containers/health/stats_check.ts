import type { ContainerStats } from "../../engine/container_stats.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import type { HealthWatchLimits } from "./health_watch_options.ts";

/** What a container's checks have come to. */
export interface CheckedHealth {
  /** Absent until a check was in order, or enough of them were not. */
  readonly status?: HealthStatus;
  /** Checks over a limit, one after the other, up to now. */
  readonly failingStreak: number;
}

/** What a container uses too much of, for people; undefined: nothing, as far as its engine tells. */
export function overLimit(
  stats: ContainerStats,
  limits: Pick<HealthWatchLimits, "memoryShareLimit" | "pidsShareLimit">,
): string | undefined {
  const over = [
    overShare("memory", stats.memoryBytes, stats.memoryLimitBytes, limits.memoryShareLimit),
    overShare("processes", stats.pids, stats.pidsLimit, limits.pidsShareLimit),
  ].filter((each) => each !== undefined);
  return over.length === 0 ? undefined : over.join("; ");
}

/** One check more. */
export function afterCheck(before: CheckedHealth, isOver: boolean, failureThreshold: number): CheckedHealth {
  if (!isOver) return { status: "healthy", failingStreak: 0 };
  const failingStreak = before.failingStreak + 1;
  if (failingStreak >= failureThreshold) return { status: "unhealthy", failingStreak };
  return { ...before, failingStreak };
}

function overShare(
  what: string,
  used: number | undefined,
  limit: number | undefined,
  shareLimit: number,
): string | undefined {
  if (used === undefined || limit === undefined || limit <= 0 || used <= limit * shareLimit) return undefined;
  return `${what}: ${used} of ${limit}, more than ${percent(shareLimit)} of the limit`;
}

function percent(share: number): string {
  return `${Math.round(share * 1_000) / 10}%`;
}
