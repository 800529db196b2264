import { ApexError } from "../../platform/apex_error.ts";
import { truncateUtf8 } from "../../platform/byte_size.ts";
import { type Clock, systemClock } from "../../platform/clock.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { Logger } from "../../platform/logger.ts";
import { type ListenerOf, TypedEmitter } from "../../platform/typed_emitter.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import { type HealthDetails, MAX_CHECK_OUTPUT_BYTES } from "../changes/container_change.ts";
import type {
  ContainerHealthEvent,
  ContainerHealthReport,
  ManagerEventName,
  ManagerEvents,
} from "../changes/container_events.ts";
import type { ContainerManager } from "../container_manager.ts";
import type { ContainerRecord } from "../container_record.ts";
import {
  checkHealthWatch,
  DEFAULT_HEALTH_WATCH,
  type HealthWatchLimits,
  type HealthWatchOptions,
} from "./health_watch_options.ts";
import { type StatsCheck, StatsWatch } from "./stats_watch.ts";

type MonitoredSubject = Pick<ContainerHealthEvent, "containerId" | "containerName" | "taskId">;

/** The monitor begins or stops following a container's health. */
export interface MonitoringEvent extends MonitoredSubject {
  readonly timestamp: Date;
}

/** One report of a container's health. Podman and the watch report each check, Docker only transitions. */
export interface HealthCheckEvent extends MonitoringEvent, HealthDetails {
  /** After the check; absent when the watch has not decided yet. */
  readonly status?: HealthStatus;
}

/** What {@linkcode ContainerHealthMonitor} emits, by name. Only `container:health` is forwarded. */
export interface HealthMonitorEvents {
  "container:health": ContainerHealthEvent;
  "monitoring:started": MonitoringEvent;
  "monitoring:stopped": MonitoringEvent;
  "health:check:success": HealthCheckEvent;
  "health:check:failed": HealthCheckEvent;
}

/** A container whose health is followed, and what is known of it. */
export interface MonitoredContainer extends MonitoredSubject, HealthDetails {
  /** `healthcheck`: the engine checks it, as its HEALTHCHECK says. `stats`: apex watches what it uses. */
  readonly source: "healthcheck" | "stats";
  /** Absent until it is known. */
  readonly status?: HealthStatus;
}

/** The part of {@linkcode ContainerManager} that the monitor needs. */
export interface MonitoredManager
  extends Pick<ContainerManager, "list" | "find" | "inspect" | "stats" | "reportHealth"> {
  on<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): () => void;
}

export interface HealthMonitorOptions {
  readonly manager: MonitoredManager;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Overrides of the defaults. The watch is off by default. */
  readonly watch?: Partial<HealthWatchOptions>;
}

/**
 * Follows the health of containers while they run.
 *
 * The engine checks containers with a HEALTHCHECK, and the manager emits each of its reports. The monitor makes
 * `container:health` of those that change the status. (Podman reports every check, Docker transitions; here they become
 * the same.) Containers without a HEALTHCHECK can be watched: the watch hands changes to the manager, which reports them
 * like any other health.
 *
 * So `container:health` is always emitted within an emission of the manager. It keeps its place among the container's
 * other events, and `list()` already shows it.
 */
export class ContainerHealthMonitor implements Disposable, AsyncDisposable {
  readonly #manager: MonitoredManager;
  readonly #clock: Clock;
  readonly #emitter: TypedEmitter<HealthMonitorEvents>;
  readonly #watch: StatsWatch;
  readonly #monitored = new Map<string, MonitoredContainer>();
  /** Watched on request, whether the watch is enabled or not. */
  readonly #addedByHand = new Set<string>();
  readonly #listeners = new DisposableStack();
  #options: HealthWatchOptions;

  /** @throws {ApexError} `usage` for invalid watch options */
  constructor({ manager, logger, clock = systemClock, watch = {} }: HealthMonitorOptions) {
    this.#manager = manager;
    this.#clock = clock;
    this.#options = { ...DEFAULT_HEALTH_WATCH, ...checkHealthWatch(watch) };
    this.#emitter = TypedEmitter.logging(logger);
    this.#watch = new StatsWatch(this.#options, {
      manager,
      onCheck: (id, check) => this.#onCheck(id, check),
      onUnfit: (id) => this.#end(id),
      clock,
      logger,
    });
    const removers = [
      manager.on("health:report", (report) => this.#onReport(report)),
      manager.on("container:started", (event) => {
        if (event.success && this.#options.enabled) this.#watchIfUp(event.containerId);
      }),
      manager.on("container:stopped", (event) => event.success && this.#end(event.containerId)),
      manager.on("container:died", (event) => this.#end(event.containerId)),
      manager.on("container:removed", (event) => event.success && this.#end(event.containerId)),
      manager.on("engine:connected", () => this.#onConnected()),
    ];
    for (const remove of removers) this.#listeners.defer(remove);
  }

  /**
   * Watches what a running container uses, until it ends. If it has a HEALTHCHECK, the watch ends when that is found out.
   *
   * @param limits overrides of the monitor's options for this container
   * @throws {ApexError} `not_found`; `usage` for invalid limits; `conflict` if the container does not run, or is known to
   *   have a HEALTHCHECK
   */
  add(containerId: string, limits: Partial<HealthWatchLimits> = {}): void {
    checkHealthWatch(limits);
    const record = this.#manager.find(containerId);
    const failed = (code: "not_found" | "conflict", why: string): ApexError =>
      new ApexError(code, `cannot watch container "${containerId}": ${why}`);
    if (record === undefined) throw failed("not_found", "no such container (see: apex ps)");
    if (!isUp(record)) throw failed("conflict", "it does not run (start it first)");
    if (this.#monitored.get(record.id)?.source === "healthcheck") {
      throw failed("conflict", "the engine checks its health (it has a HEALTHCHECK)");
    }
    this.#addedByHand.add(record.id);
    this.#watch.drop(record.id); // so that new limits apply
    this.#begin(record, limits);
  }

  /** Stops watching a container; false if it was not watched. The engine's own checks continue. */
  remove(containerId: string): boolean {
    const id = this.#manager.find(containerId)?.id ?? containerId;
    if (!this.#watch.has(id)) return false;
    const hadStatus = this.#monitored.get(id)?.status !== undefined;
    this.#end(id);
    if (hadStatus) this.#manager.reportHealth(id, { status: "none", details: {} });
    return true;
  }

  /** The containers whose health is followed. One with a HEALTHCHECK is followed from its first report on. */
  status(): MonitoredContainer[];
  status(containerId: string): MonitoredContainer | undefined;
  status(containerId?: string): MonitoredContainer[] | MonitoredContainer | undefined {
    return containerId === undefined ? [...this.#monitored.values()] : this.#monitored.get(containerId);
  }

  /**
   * Changes options of the watch, also for containers that are already watched.
   *
   * @throws {ApexError} `usage` for invalid options
   */
  configure(options: Partial<HealthWatchOptions>): void {
    this.#options = { ...this.#options, ...checkHealthWatch(options) };
    this.#watch.setLimits(this.#options);
    if (this.#options.enabled) {
      for (const { id } of this.#manager.list()) this.#watchIfUp(id);
    } else {
      for (const id of [...this.#monitored.keys()]) if (!this.#addedByHand.has(id)) this.remove(id);
    }
  }

  /** Adds a listener. The returned function removes it. */
  on<Name extends keyof HealthMonitorEvents>(
    name: Name,
    listener: ListenerOf<HealthMonitorEvents, Name>,
  ): () => void {
    return this.#emitter.on(name, listener);
  }

  off<Name extends keyof HealthMonitorEvents>(
    name: Name,
    listener: ListenerOf<HealthMonitorEvents, Name>,
  ): void {
    this.#emitter.off(name, listener);
  }

  listenerCount(name?: keyof HealthMonitorEvents): number {
    return this.#emitter.listenerCount(name);
  }

  /** Removes its listeners from the manager, and ends the watch. Idempotent. */
  [Symbol.dispose](): void {
    this.#listeners.dispose();
    for (const id of this.#monitored.keys()) this.#watch.drop(id);
    this.#monitored.clear();
    this.#addedByHand.clear();
  }

  /** The same, and waits for the checks under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    await this.#watch[Symbol.asyncDispose]();
  }

  #onReport({ fromWatch, ...event }: ContainerHealthReport): void {
    if (fromWatch !== true) this.#onEngineReport(event);
    if (event.status !== event.previousStatus) this.#emitter.emit("container:health", event);
  }

  /** The engine's checks take precedence over the watch. */
  #onEngineReport(report: ContainerHealthReport): void {
    const { containerId, timestamp, status } = report;
    const details = detailsOf(report);
    this.#watch.drop(containerId);
    this.#addedByHand.delete(containerId);
    const subject = subjectOf(report);
    const isNew = !this.#monitored.has(containerId);
    this.#monitored.set(containerId, { ...subject, source: "healthcheck", status, ...details });
    if (isNew) this.#emitter.emit("monitoring:started", { ...subject, timestamp });
    if (status !== "healthy" && status !== "unhealthy") return;
    const name = status === "healthy" ? "health:check:success" : "health:check:failed";
    this.#emitter.emit(name, { ...subject, timestamp, status, ...details });
  }

  #onCheck(id: string, { status, failingStreak, over, isChange }: StatsCheck): void {
    const known = this.#monitored.get(id);
    if (known === undefined) return;
    const timestamp = new Date(this.#clock.now());
    const details: HealthDetails = {
      failingStreak,
      ...(over !== undefined && { lastCheckOutput: truncateUtf8(over, MAX_CHECK_OUTPUT_BYTES) }),
      lastCheckTime: timestamp,
    };
    const subject = subjectOf(known);
    const found = { ...(status !== undefined && { status }), ...details };
    this.#monitored.set(id, { ...subject, source: "stats", ...found });
    const name = over === undefined ? "health:check:success" : "health:check:failed";
    this.#emitter.emit(name, { ...subject, timestamp, ...found });
    // A listener of the check may have removed the container.
    if (isChange && status !== undefined && this.#watch.has(id)) {
      this.#manager.reportHealth(id, { status, details });
    }
  }

  /** The engine may be another one, with other containers. */
  #onConnected(): void {
    for (const id of [...this.#monitored.keys()]) {
      const record = this.#manager.find(id);
      if (record === undefined || !isUp(record)) this.#end(id);
    }
    if (!this.#options.enabled) return;
    for (const { id } of this.#manager.list()) this.#watchIfUp(id);
  }

  #watchIfUp(id: string): void {
    const record = this.#manager.find(id);
    if (record !== undefined && isUp(record) && !this.#monitored.has(id)) this.#begin(record, {});
  }

  #begin({ id, name, taskId }: ContainerRecord, limits: Partial<HealthWatchLimits>): void {
    const isNew = !this.#monitored.has(id);
    const subject = subjectOf({
      containerId: id,
      containerName: name,
      ...(taskId !== undefined && { taskId }),
    });
    this.#monitored.set(id, { ...subject, source: "stats" });
    if (isNew) {
      this.#emitter.emit("monitoring:started", { ...subject, timestamp: new Date(this.#clock.now()) });
    }
    // A listener may have removed the container.
    if (this.#monitored.has(id)) this.#watch.add(id, limits);
  }

  #end(id: string): void {
    this.#watch.drop(id);
    this.#addedByHand.delete(id);
    const known = this.#monitored.get(id);
    if (known === undefined) return;
    this.#monitored.delete(id);
    const timestamp = new Date(this.#clock.now());
    this.#emitter.emit("monitoring:stopped", { ...subjectOf(known), timestamp });
  }
}

function isUp({ state }: ContainerRecord): boolean {
  return state === "running" || state === "paused";
}

function subjectOf({ containerId, containerName, taskId }: MonitoredSubject): MonitoredSubject {
  return { containerId, containerName, ...(taskId !== undefined && { taskId }) };
}

function detailsOf(report: HealthDetails): HealthDetails {
  const { failingStreak, lastCheckExitCode, lastCheckOutput, lastCheckTime } = report;
  return definedFields({ failingStreak, lastCheckExitCode, lastCheckOutput, lastCheckTime });
}
