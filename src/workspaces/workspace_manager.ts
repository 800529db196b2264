import type { ContainerEventName, ContainerEvents } from "../containers/container_events.ts";
import { type ContainerEventSource, ForwardingSet } from "../containers/forwarding.ts";
import { type ListenerOf, TypedEmitter } from "../containers/typed_emitter.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Logger } from "../platform/logger.ts";

/** What {@linkcode WorkspaceManager} emits, by name: the container events, unchanged. */
export type WorkspaceManagerEvents = ContainerEvents;

/** What a {@linkcode WorkspaceManager} is built from. */
export interface WorkspaceManagerOptions {
  /** {@linkcode ContainerManager}, as far as it is listened to. */
  readonly manager:
    & ContainerEventSource<"container:created">
    & ContainerEventSource<"container:started">
    & ContainerEventSource<"container:stopped">
    & ContainerEventSource<"container:died">
    & ContainerEventSource<"container:removed">;
  /** {@linkcode ContainerHealthMonitor}, as far as it is listened to. */
  readonly health: ContainerEventSource<"container:health">;
  readonly logger: Logger;
}

/**
 * The middle layer of the bridge: forwards the events of the container layer (the manager's and the health monitor's)
 * to the orchestrator, in their order and unchanged. `container:lifecycle` stays below.
 */
export class WorkspaceManager implements Disposable {
  readonly #emitter: TypedEmitter<WorkspaceManagerEvents>;
  readonly #forwarding = new ForwardingSet();

  constructor(options: WorkspaceManagerOptions) {
    this.#emitter = new TypedEmitter((error, name) =>
      options.logger.error(`a listener of ${name} failed: ${messageOf(error)}`)
    );
    const { manager, health } = options;
    this.#forward(manager, "container:created");
    this.#forward(manager, "container:started");
    this.#forward(health, "container:health");
    this.#forward(manager, "container:stopped");
    this.#forward(manager, "container:died");
    this.#forward(manager, "container:removed");
  }

  on<Name extends ContainerEventName>(name: Name, listener: ListenerOf<WorkspaceManagerEvents, Name>): this {
    this.#emitter.on(name, listener);
    return this;
  }

  off<Name extends ContainerEventName>(name: Name, listener: ListenerOf<WorkspaceManagerEvents, Name>): this {
    this.#emitter.off(name, listener);
    return this;
  }

  listenerCount(name?: ContainerEventName): number {
    return this.#emitter.listenerCount(name);
  }

  /** Removes each listener that was added to the container layer. May be called again. */
  [Symbol.dispose](): void {
    this.#forwarding[Symbol.dispose]();
  }

  #forward<Name extends ContainerEventName>(source: ContainerEventSource<Name>, name: Name): void {
    this.#forwarding.add(source, name, (event) => this.#emitter.emit(name, event));
  }
}
