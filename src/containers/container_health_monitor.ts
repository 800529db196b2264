import { messageOf } from "../platform/apex_error.ts";
import type { Logger } from "../platform/logger.ts";
import type { ContainerEvents } from "./container_events.ts";
import type { ContainerHealthReport } from "./manager_events.ts";
import { type ListenerOf, TypedEmitter } from "./typed_emitter.ts";

/** What {@linkcode ContainerHealthMonitor} emits, by name. */
export interface HealthMonitorEvents {
  "container:health": ContainerEvents["container:health"];
}

/** What the monitor listens to: {@linkcode ContainerManager}. */
export interface HealthReportSource {
  on(name: "health:report", listener: (report: ContainerHealthReport) => void): unknown;
  off(name: "health:report", listener: (report: ContainerHealthReport) => void): unknown;
}

/**
 * Makes `container:health` out of the manager's health reports: changes only, each with the status before it. Podman
 * reports at every probe, Docker at transitions; here they become the same.
 *
 * It emits inside the manager's own emission, so that a container's health keeps its place among its other events.
 */
export class ContainerHealthMonitor implements Disposable {
  readonly #manager: HealthReportSource;
  readonly #emitter: TypedEmitter<HealthMonitorEvents>;
  readonly #onReport = (report: ContainerHealthReport): void => {
    if (report.status !== report.previousStatus) this.#emitter.emit("container:health", report);
  };

  constructor(options: { manager: HealthReportSource; logger: Logger }) {
    this.#manager = options.manager;
    this.#emitter = new TypedEmitter((error, name) =>
      options.logger.error(`a listener of ${name} failed: ${messageOf(error)}`)
    );
    this.#manager.on("health:report", this.#onReport);
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

  /** Lets go of the manager. May be called again. */
  [Symbol.dispose](): void {
    this.#manager.off("health:report", this.#onReport);
  }
}
