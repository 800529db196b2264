import {
  CONTAINER_EVENT_NAMES,
  type ContainerEventName,
  type ContainerEvents,
} from "../containers/container_events.ts";
import { ForwardingSet } from "../containers/forwarding.ts";
import { type ListenerOf, TypedEmitter } from "../containers/typed_emitter.ts";
import { messageOf } from "../platform/apex_error.ts";
import { type Logger, silentLogger } from "../platform/logger.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";

/** Any of the forwarded container events. */
export type AnyContainerEvent = ContainerEvents[ContainerEventName];

/** A listener of `container:*`: the event, and which one it is. */
export type AnyContainerListener = (event: AnyContainerEvent, name: ContainerEventName) => void;

/**
 * The top layer of the bridge, and what programs that embed apex listen to:
 *
 * ```ts
 * orchestrator.on("container:died", (event) => console.log(event.containerName, event.exitCode));
 * orchestrator.on("container:*", (event, name) => console.log(name, event.taskId));
 * ```
 *
 * Listeners of an event's own name are called before those of `container:*`. One that throws is logged and harms nobody
 * else.
 */
export class ApexOrchestrator implements AsyncDisposable {
  readonly #events: TypedEmitter<ContainerEvents>;
  readonly #forwarding = new ForwardingSet();

  constructor(options: { workspaces: WorkspaceManager; logger?: Logger }) {
    const logger = options.logger ?? silentLogger;
    this.#events = new TypedEmitter((error, name) =>
      logger.error(`a listener of ${name} failed: ${messageOf(error)}`)
    );
    for (const name of CONTAINER_EVENT_NAMES) this.#forward(options.workspaces, name);
  }

  on<Name extends ContainerEventName>(name: Name, listener: ListenerOf<ContainerEvents, Name>): this;
  on(name: "container:*", listener: AnyContainerListener): this;
  on(name: ContainerEventName | "container:*", listener: AnyContainerListener): this {
    if (name === "container:*") this.#events.onAny(listener);
    else this.#events.on(name, listener as ListenerOf<ContainerEvents, typeof name>);
    return this;
  }

  once<Name extends ContainerEventName>(name: Name, listener: ListenerOf<ContainerEvents, Name>): this;
  once(name: "container:*", listener: AnyContainerListener): this;
  once(name: ContainerEventName | "container:*", listener: AnyContainerListener): this {
    if (name === "container:*") this.#events.onceAny(listener);
    else this.#events.once(name, listener as ListenerOf<ContainerEvents, typeof name>);
    return this;
  }

  off<Name extends ContainerEventName>(name: Name, listener: ListenerOf<ContainerEvents, Name>): this;
  off(name: "container:*", listener: AnyContainerListener): this;
  off(name: ContainerEventName | "container:*", listener: AnyContainerListener): this {
    if (name === "container:*") this.#events.offAny(listener);
    else this.#events.off(name, listener as ListenerOf<ContainerEvents, typeof name>);
    return this;
  }

  /** Of one event, or of all together, those of `container:*` included. */
  listenerCount(name?: ContainerEventName): number {
    return this.#events.listenerCount(name);
  }

  /** Removes every listener: those held on the layer below and those that were added here. May be called again. */
  dispose(): Promise<void> {
    this.#forwarding[Symbol.dispose]();
    this.#events.removeAllListeners();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #forward<Name extends ContainerEventName>(workspaces: WorkspaceManager, name: Name): void {
    this.#forwarding.add(workspaces, name, (event: ContainerEvents[Name]) => this.#events.emit(name, event));
  }
}
