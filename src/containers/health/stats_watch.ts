/**
 * The watch on what containers use, for those that the engine does not check. A container over a limit in so many checks
 * in a row is unhealthy, and healthy after the first check that is in order. A check that cannot be made says nothing
 * about the container, and is made again after the interval.
 */
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { healthStatus } from "../changes/normalize_event.ts";
import type { ContainerManager } from "../container_manager.ts";
import { CheckSchedule } from "./check_schedule.ts";
import type { HealthWatchLimits } from "./health_watch_options.ts";
import { afterCheck, type CheckedHealth, overLimit } from "./stats_check.ts";

export interface StatsWatchOptions {
  readonly manager: Pick<ContainerManager, "inspect" | "stats">;
  /** Called for each check of a container that is still watched. */
  readonly onCheck: (id: string, check: StatsCheck) => void;
  /** The container has checks of its own, or is gone: it has been dropped. */
  readonly onUnfit: (id: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface StatsCheck extends CheckedHealth {
  /** What it uses too much of, for people; absent when it is in order. */
  readonly over?: string;
  /** The status is another than before. */
  readonly isChange: boolean;
}

interface Watched {
  /** What differs for this container. */
  readonly ownLimits: Partial<HealthWatchLimits>;
  health: CheckedHealth;
  /** It is known to have no checks of its own. */
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
      check: (id, signal) => this.#check(id, signal),
      clock: options.clock,
    });
  }

  has(id: string): boolean {
    return this.#watched.has(id);
  }

  /** The first check is made as soon as it can. */
  add(id: string, ownLimits: Partial<HealthWatchLimits>): void {
    if (this.#watched.has(id)) return;
    this.#watched.set(id, { ownLimits, health: { failingStreak: 0 }, isFit: false });
    this.#schedule.add(id, ownLimits.intervalMs ?? this.#limits.intervalMs);
  }

  drop(id: string): void {
    this.#watched.delete(id);
    this.#schedule.drop(id);
  }

  /** The limits of all from now on, but for what differs for some. */
  setLimits(limits: HealthWatchLimits): void {
    this.#limits = limits;
    for (const [id, { ownLimits }] of this.#watched) {
      this.#schedule.add(id, ownLimits.intervalMs ?? limits.intervalMs);
    }
  }

  /** Drops all, and waits for the checks under way. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#watched.clear();
    await this.#schedule[Symbol.asyncDispose]();
  }

  async #check(id: string, signal: AbortSignal): Promise<void> {
    const watched = this.#watched.get(id);
    // It may have been dropped, and even added again, by the time of an answer.
    const isWatched = (): boolean => watched !== undefined && this.#watched.get(id) === watched;
    if (watched === undefined) return;
    const { manager, logger, onUnfit } = this.#options;
    try {
      const isFit = watched.isFit || await this.#hasNoChecks(id, signal);
      if (!isWatched()) return;
      watched.isFit = isFit;
      if (!isFit) {
        this.drop(id);
        return onUnfit(id);
      }
      const stats = await manager.stats(id, signal);
      if (isWatched()) {
        this.#conclude(id, watched, overLimit(stats, { ...this.#limits, ...watched.ownLimits }));
      }
    } catch (error) {
      if (!isWatched()) return;
      if (error instanceof ApexError && error.code === "not_found") {
        this.drop(id);
        onUnfit(id);
      } else {
        logger.debug(`cannot tell what container ${id.slice(0, 12)} uses: ${messageOf(error)}`);
      }
    }
  }

  #conclude(id: string, watched: Watched, over: string | undefined): void {
    const before = watched.health;
    const { failureThreshold } = { ...this.#limits, ...watched.ownLimits };
    watched.health = afterCheck(before, over !== undefined, failureThreshold);
    this.#options.onCheck(id, {
      ...watched.health,
      ...(over !== undefined && { over }),
      isChange: watched.health.status !== before.status,
    });
  }

  async #hasNoChecks(id: string, signal: AbortSignal): Promise<boolean> {
    const { State } = await this.#options.manager.inspect(id, signal);
    const status = healthStatus(State.Health?.Status);
    return status === undefined || status === "none";
  }
}
