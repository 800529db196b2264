import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { truncateUtf8 } from "../../platform/byte_size.ts";
import { type Clock, systemClock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { type ListenerOf, TypedEmitter } from "../../platform/typed_emitter.ts";
import { type HealthDetails, MAX_CHECK_OUTPUT_BYTES } from "../changes/container_change.ts";
import type { ContainerHealthReport, ManagerEventName, ManagerEvents } from "../changes/container_events.ts";
import type { ContainerManager } from "../container_manager.ts";
import type { ContainerRecord } from "../container_record.ts";
import type { HealthMonitorEvents, MonitoredContainer, MonitoringEvent } from "./health_monitor_events.ts";
import {
  checkHealthWatch,
  DEFAULT_HEALTH_WATCH,
  type HealthWatchLimits,
  type HealthWatchOptions,
} from "./health_watch_options.ts";
import { type StatsCheck, StatsWatch } from "./stats_watch.ts";

/** {@linkcode ContainerManager}, as far as the monitor needs it. */
export interface MonitoredManager
  extends Pick<ContainerManager, "list" | "find" | "inspect" | "stats" | "reportHealth"> {
  on<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): unknown;
  off<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): unknown;
}

export interface HealthMonitorOptions {
  readonly manager: MonitoredManager;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** What differs from the defaults; the watch is off by default. */
  readonly watch?: Partial<HealthWatchOptions>;
}

/**
 * Follows the health of containers, each as long as it runs.
 *
 * Those with a HEALTHCHECK are checked by the engine, and the manager reports what that says: of the reports
 * `container:health` is made, changes only, each with the status before it. (Podman reports at every probe, Docker at
 * transitions; here they become the same.) Those without one can be watched: the watch tells the manager of changes, and
 * that reports them like any other health.
 *
 * So `container:health` is always emitted inside the manager's own emission, a container's health keeps its place among
 * its other events, and `list()` already shows it.
 */
export class ContainerHealthMonitor implements Disposable, AsyncDisposable {
  readonly #manager: MonitoredManager;
  readonly #clock: Clock;
  readonly #emitter: TypedEmitter<HealthMonitorEvents>;
  readonly #watch: StatsWatch;
  readonly #monitored = new Map<string, MonitoredContainer>();
  /** Watched because somebody said so, whether the watch is enabled or not. */
  readonly #addedByHand = new Set<string>();
  readonly #undo: (() => void)[] = [];
  #options: HealthWatchOptions;

  /** @throws {ApexError} `usage` for watch options that make no sense */
  constructor(options: HealthMonitorOptions) {
    const { manager, logger, clock, watch } = options;
    this.#manager = manager;
    this.#clock = clock ?? systemClock;
    this.#options = { ...DEFAULT_HEALTH_WATCH, ...checkHealthWatch(watch ?? {}) };
    this.#emitter = new TypedEmitter((error, name) =>
      logger.error(`a listener of ${name} failed: ${messageOf(error)}`)
    );
    this.#watch = new StatsWatch(this.#options, {
      manager,
      onCheck: (id, check) => this.#onCheck(id, check),
      onUnfit: (id) => this.#end(id),
      clock: this.#clock,
      logger,
    });
    this.#listen("health:report", (report) => this.#onReport(report));
    this.#listen("container:started", (event) => {
      if (event.success && this.#options.enabled) this.#watchIfUp(event.containerId);
    });
    this.#listen("container:stopped", (event) => event.success && this.#end(event.containerId));
    this.#listen("container:died", (event) => this.#end(event.containerId));
    this.#listen("container:removed", (event) => event.success && this.#end(event.containerId));
    this.#listen("engine:connected", () => this.#onConnected());
  }

  /**
   * Watches what a running container uses, until it ends. One that turns out to have a HEALTHCHECK is left to that.
   *
   * @param limits what differs for it from the monitor's options
   * @throws {ApexError} `not_found`, `usage` for limits that make no sense, `conflict` when it does not run, or has a
   *   HEALTHCHECK
   */
  add(containerId: string, limits: Partial<HealthWatchLimits> = {}): void {
    checkHealthWatch(limits);
    const record = this.#manager.find(containerId);
    const failed = (code: "not_found" | "conflict", why: string): ApexError =>
      new ApexError(code, `cannot watch container "${containerId}": ${why}`);
    if (record === undefined) throw failed("not_found", "no such container (try: apex ps)");
    if (!isUp(record)) throw failed("conflict", "it does not run (start it first)");
    if (this.#monitored.get(record.id)?.source === "healthcheck") {
      throw failed("conflict", "the engine checks its health (it has a HEALTHCHECK)");
    }
    this.#addedByHand.add(record.id);
    // Added anew, so that new limits count.
    this.#watch.drop(record.id);
    this.#begin(record, limits);
  }

  /** Watches it no more; false when it was not watched. A HEALTHCHECK is the engine's, and goes on. */
  remove(containerId: string): boolean {
    const id = this.#manager.find(containerId)?.id ?? containerId;
    if (!this.#watch.has(id)) return false;
    const isToldOf = this.#monitored.get(id)?.status !== undefined;
    this.#end(id);
    if (isToldOf) this.#manager.reportHealth(id, { status: "none", details: {} });
    return true;
  }

  /** The containers whose health is followed. One with a HEALTHCHECK is followed from its first report on. */
  status(): MonitoredContainer[];
  status(containerId: string): MonitoredContainer | undefined;
  status(containerId?: string): MonitoredContainer[] | MonitoredContainer | undefined {
    return containerId === undefined ? [...this.#monitored.values()] : this.#monitored.get(containerId);
  }

  /**
   * Changes options of the watch, for the containers that are watched already as well.
   *
   * @throws {ApexError} `usage` for options that make no sense
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

  on<Name extends keyof HealthMonitorEvents>(
    name: Name,
    listener: ListenerOf<HealthMonitorEvents, Name>,
  ): this {
    this.#emitter.on(name, listener);
    return this;
  }

  off<Name extends keyof HealthMonitorEvents>(
    name: Name,
    listener: ListenerOf<HealthMonitorEvents, Name>,
  ): this {
    this.#emitter.off(name, listener);
    return this;
  }

  listenerCount(name?: keyof HealthMonitorEvents): number {
    return this.#emitter.listenerCount(name);
  }

  /** Lets go of the manager and ends the watch. May be called again. */
  [Symbol.dispose](): void {
    for (const undo of this.#undo.splice(0)) undo();
    for (const id of this.#monitored.keys()) this.#watch.drop(id);
    this.#monitored.clear();
    this.#addedByHand.clear();
  }

  /** The same, and waits for the checks under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    await this.#watch[Symbol.asyncDispose]();
  }

  #listen<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): void {
    this.#manager.on(name, listener);
    this.#undo.push(() => this.#manager.off(name, listener));
  }

  #onReport({ fromWatch, ...event }: ContainerHealthReport): void {
    if (fromWatch !== true) this.#onEngineReport(event);
    if (event.status !== event.previousStatus) this.#emitter.emit("container:health", event);
  }

  /** The engine checks it: that counts more than what it uses. */
  #onEngineReport(report: ContainerHealthReport): void {
    const { containerId, containerName, taskId, timestamp, status } = report;
    const details = detailsOf(report);
    this.#watch.drop(containerId);
    this.#addedByHand.delete(containerId);
    const subject = { containerId, containerName, ...(taskId !== undefined && { taskId }) };
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
    // A listener of the check may have removed it.
    if (isChange && status !== undefined && this.#watch.has(id)) {
      this.#manager.reportHealth(id, { status, details });
    }
  }

  /** Perhaps to another engine, with containers that we do not know. */
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

  #begin(record: ContainerRecord, limits: Partial<HealthWatchLimits>): void {
    const { id, name, taskId } = record;
    const isNew = !this.#monitored.has(id);
    const subject = { containerId: id, containerName: name, ...(taskId !== undefined && { taskId }) };
    this.#monitored.set(id, { ...subject, source: "stats" });
    if (isNew) {
      this.#emitter.emit("monitoring:started", { ...subject, timestamp: new Date(this.#clock.now()) });
    }
    if (this.#monitored.has(id)) this.#watch.add(id, limits);
  }

  #end(id: string): void {
    this.#watch.drop(id);
    this.#addedByHand.delete(id);
    const known = this.#monitored.get(id);
    if (known === undefined) return;
    this.#monitored.delete(id);
    this.#emitter.emit("monitoring:stopped", {
      ...subjectOf(known),
      timestamp: new Date(this.#clock.now()),
    });
  }
}

function isUp({ state }: ContainerRecord): boolean {
  return state === "running" || state === "paused";
}

function subjectOf(
  { containerId, containerName, taskId }: MonitoredContainer,
): Omit<MonitoringEvent, "timestamp"> {
  return { containerId, containerName, ...(taskId !== undefined && { taskId }) };
}

function detailsOf(report: HealthDetails): HealthDetails {
  const { failingStreak, lastCheckExitCode, lastCheckOutput, lastCheckTime } = report;
  return {
    ...(failingStreak !== undefined && { failingStreak }),
    ...(lastCheckExitCode !== undefined && { lastCheckExitCode }),
    ...(lastCheckOutput !== undefined && { lastCheckOutput }),
    ...(lastCheckTime !== undefined && { lastCheckTime }),
  };
}
