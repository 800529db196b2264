/**
 * The watch on what containers use, for those without a health check of the engine. A container over a limit in N checks
 * in a row is unhealthy, and healthy again after the first check within its limits. A check that fails says nothing about
 * the container, and is repeated after the interval.
 *
 * Each container has its own interval, and at most one check under way. The watch owns the timers and the checks, and ends
 * both.
 */
import type { ContainerStats } from "../../engine/container_stats.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import { healthStatus } from "../changes/normalize_event.ts";
import type { ContainerManager } from "../container_manager.ts";
import type { HealthWatchLimits } from "./health_watch_options.ts";

/** Concurrent checks of all containers: fast for hundreds of them, and a small load for the engine. */
const MAX_CONCURRENT = 8;

/** Longest time for one check. */
const CHECK_TIMEOUT_MS = 10_000;

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
  readonly id: string;
  /** The limits that differ for this container. */
  readonly ownLimits: Partial<HealthWatchLimits>;
  readonly dropped: AbortController;
  health: CheckedHealth;
  /** The container is known to have no checks of its own. */
  isFit: boolean;
  /** Cancels the wait for the next check; undefined while that is due or under way. */
  cancelTimer?: (() => void) | undefined;
}

export class StatsWatch implements AsyncDisposable {
  readonly #options: StatsWatchOptions;
  readonly #watched = new Map<string, Watched>();
  /** Contains each container at most once. */
  #due: Watched[] = [];
  readonly #checks = new Set<Promise<void>>();
  #limits: HealthWatchLimits;

  constructor(limits: HealthWatchLimits, options: StatsWatchOptions) {
    this.#limits = limits;
    this.#options = options;
  }

  has(id: string): boolean {
    return this.#watched.has(id);
  }

  /** The first check is made as soon as possible. */
  add(id: string, ownLimits: Partial<HealthWatchLimits>): void {
    if (this.#watched.has(id)) return;
    const health = { failingStreak: 0 };
    const watched: Watched = { id, ownLimits, dropped: new AbortController(), health, isFit: false };
    this.#watched.set(id, watched);
    this.#enqueue(watched);
  }

  drop(id: string): void {
    const watched = this.#watched.get(id);
    if (watched === undefined) return;
    this.#watched.delete(id);
    watched.cancelTimer?.();
    watched.dropped.abort();
    this.#due = this.#due.filter((each) => each !== watched);
  }

  /** Replaces the limits of all containers, except those that differ for one of them. */
  setLimits(limits: HealthWatchLimits): void {
    const isNewInterval = this.#limits.intervalMs !== limits.intervalMs;
    this.#limits = limits;
    for (const watched of this.#watched.values()) {
      const { cancelTimer, ownLimits } = watched;
      if (isNewInterval && ownLimits.intervalMs === undefined && cancelTimer !== undefined) {
        this.#arm(watched);
      }
    }
  }

  /** Drops all containers, and waits for the checks under way. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of [...this.#watched.keys()]) this.drop(id);
    await Promise.all(this.#checks);
  }

  #enqueue(watched: Watched): void {
    this.#due.push(watched);
    this.#checkNext();
  }

  #checkNext(): void {
    while (this.#checks.size < MAX_CONCURRENT) {
      const watched = this.#due.shift();
      if (watched === undefined) return;
      const check = this.#check(watched);
      this.#checks.add(check);
      void check.finally(() => {
        this.#checks.delete(check);
        if (this.#isWatched(watched)) this.#arm(watched);
        this.#checkNext();
      });
    }
  }

  #arm(watched: Watched): void {
    watched.cancelTimer?.();
    watched.cancelTimer = this.#options.clock.after(this.#limitsOf(watched).intervalMs, () => {
      watched.cancelTimer = undefined;
      this.#enqueue(watched);
    });
  }

  /** By the time of an answer, a container may have been dropped, and even added again. */
  #isWatched(watched: Watched): boolean {
    return this.#watched.get(watched.id) === watched;
  }

  #limitsOf({ ownLimits }: Watched): HealthWatchLimits {
    return { ...this.#limits, ...ownLimits };
  }

  /** Never rejects. */
  async #check(watched: Watched): Promise<void> {
    const { id } = watched;
    const { manager, clock, logger, onUnfit } = this.#options;
    using deadline = new Deadline(CHECK_TIMEOUT_MS, { clock, abort: watched.dropped.signal });
    const abort = deadline.abortSignal;
    try {
      const isFit = watched.isFit || await this.#hasNoChecks(id, abort);
      if (!this.#isWatched(watched)) return;
      watched.isFit = isFit;
      if (!isFit) {
        this.drop(id);
        return onUnfit(id);
      }
      const stats = await manager.stats(id, abort);
      if (this.#isWatched(watched)) this.#conclude(watched, stats);
    } catch (error) {
      if (!this.#isWatched(watched)) return;
      if (error instanceof ApexError && error.code === "not_found") {
        this.drop(id);
        onUnfit(id);
      } else {
        logger.debug(`cannot check what container ${id.slice(0, 12)} uses: ${messageOf(error)}`);
      }
    }
  }

  #conclude(watched: Watched, stats: ContainerStats): void {
    const before = watched.health;
    const limits = this.#limitsOf(watched);
    const over = overLimit(stats, limits);
    watched.health = afterCheck(before, over !== undefined, limits.failureThreshold);
    this.#options.onCheck(watched.id, {
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
