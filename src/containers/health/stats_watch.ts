/**
 * The watch on what containers use, for those without a health check of the engine. A container over a limit in N checks
 * in a row is unhealthy, and healthy again after the first check within its limits. A check that fails says nothing about
 * the container, and is repeated after the interval.
 */
import type { ContainerStats } from "../../engine/container_stats.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import { healthStatus } from "../changes/normalize_event.ts";
import type { ContainerManager } from "../container_manager.ts";
import { CheckSchedule } from "./check_schedule.ts";
import type { HealthWatchLimits } from "./health_watch_options.ts";

export interface StatsWatchOptions {
  readonly manager: Pick<ContainerManager, "inspect" | "stats">;
  /** Called for each check of a container that is still watched. */
  readonly onCheck: (id: string, check: StatsCheck) => void;
  /** Called when a container was dropped, because it has checks of its own, or no longer exists. */
  readonly onUnfit: (id: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The result of a container's checks so far. */
export interface CheckedHealth {
  /** Absent until one check was within the limits, or enough of them were not. */
  readonly status?: HealthStatus;
  /** Number of checks over a limit in a row, the last one included. */
  readonly failingStreak: number;
}

export interface StatsCheck extends CheckedHealth {
  /** What the container uses too much of, for people; absent when it is within its limits. */
  readonly over?: string;
  /** The status has changed. */
  readonly isChange: boolean;
}

interface Watched {
  /** The limits that differ for this container. */
  readonly ownLimits: Partial<HealthWatchLimits>;
  health: CheckedHealth;
  /** The container is known to have no checks of its own. */
  isFit: boolean;
}

export class StatsWatch implements AsyncDisposable {
  readonly #options: StatsWatchOptions;
  readonly #schedule: CheckSchedule;
  readonly #watched = new Map<string, Watched>();
  #limits: HealthWatchLimits;

  constructor(limits: HealthWatchLimits, options: StatsWatchOptions) {
    this.#limits = limits;
    this.#options = options;
    this.#schedule = new CheckSchedule({
      check: (id, abort) => this.#check(id, abort),
      clock: options.clock,
    });
  }

  has(id: string): boolean {
    return this.#watched.has(id);
  }

  /** The first check is made as soon as possible. */
  add(id: string, ownLimits: Partial<HealthWatchLimits>): void {
    if (this.#watched.has(id)) return;
    this.#watched.set(id, { ownLimits, health: { failingStreak: 0 }, isFit: false });
    this.#schedule.add(id, ownLimits.intervalMs ?? this.#limits.intervalMs);
  }

  drop(id: string): void {
    this.#watched.delete(id);
    this.#schedule.drop(id);
  }

  /** Replaces the limits of all containers, except those that differ for one of them. */
  setLimits(limits: HealthWatchLimits): void {
    this.#limits = limits;
    for (const [id, { ownLimits }] of this.#watched) {
      this.#schedule.add(id, ownLimits.intervalMs ?? limits.intervalMs);
    }
  }

  /** Drops all containers, and waits for the checks under way. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#watched.clear();
    await this.#schedule[Symbol.asyncDispose]();
  }

  async #check(id: string, abort: AbortSignal): Promise<void> {
    const watched = this.#watched.get(id);
    // By the time of an answer, the container may have been dropped, and even added again.
    const isWatched = (): boolean => watched !== undefined && this.#watched.get(id) === watched;
    if (watched === undefined) return;
    const { manager, logger, onUnfit } = this.#options;
    try {
      const isFit = watched.isFit || await this.#hasNoChecks(id, abort);
      if (!isWatched()) return;
      watched.isFit = isFit;
      if (!isFit) {
        this.drop(id);
        return onUnfit(id);
      }
      const stats = await manager.stats(id, abort);
      if (isWatched()) this.#conclude(id, watched, stats);
    } catch (error) {
      if (!isWatched()) return;
      if (error instanceof ApexError && error.code === "not_found") {
        this.drop(id);
        onUnfit(id);
      } else {
        logger.debug(`cannot check what container ${id.slice(0, 12)} uses: ${messageOf(error)}`);
      }
    }
  }

  #conclude(id: string, watched: Watched, stats: ContainerStats): void {
    const before = watched.health;
    const limits = { ...this.#limits, ...watched.ownLimits };
    const over = overLimit(stats, limits);
    watched.health = afterCheck(before, over !== undefined, limits.failureThreshold);
    this.#options.onCheck(id, {
      ...watched.health,
      ...(over !== undefined && { over }),
      isChange: watched.health.status !== before.status,
    });
  }

  async #hasNoChecks(id: string, abort: AbortSignal): Promise<boolean> {
    const { State } = await this.#options.manager.inspect(id, abort);
    const status = healthStatus(State.Health?.Status);
    return status === undefined || status === "none";
  }
}

/** What a container uses too much of, for people; undefined if nothing, as far as the engine reports it. */
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

/** The health after one more check. */
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
  return `${what}: ${used} of ${limit}, more than ${Math.round(shareLimit * 1_000) / 10}% of the limit`;
}
