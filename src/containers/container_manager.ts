import { EventFollower } from "../engine/event_follower.ts";
import type { EngineClient } from "../engine/engine_client.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { ContainerRecord } from "./container_record.ts";
import { ContainerTracker } from "./container_tracker.ts";
import type { ManagerEventName, ManagerEvents } from "./manager_events.ts";
import { type ListenerOf, TypedEmitter } from "./typed_emitter.ts";

/** What a {@linkcode ContainerManager} is built from. The client stays its owner's to dispose. */
export interface ContainerManagerOptions {
  readonly client: EngineClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Engine time, ns, up to which events are known from an earlier life of the daemon. */
  readonly sinceNano?: number;
}

/**
 * The lowest layer of the bridge: follows the engine, keeps the registry of its containers, and emits what happens to
 * them. The registry and the event that tells of its change are always in step: inside a listener, `list()` already
 * shows what the event says.
 *
 * A listener that throws is logged and harms nobody else.
 */
export class ContainerManager implements AsyncDisposable {
  readonly #emitter: TypedEmitter<ManagerEvents>;
  readonly #tracker: ContainerTracker;
  readonly #follower: EventFollower;

  constructor(options: ContainerManagerOptions) {
    const { client, clock, logger, sinceNano } = options;
    this.#emitter = new TypedEmitter((error, name) =>
      logger.error(`a listener of ${name} failed: ${messageOf(error)}`)
    );
    this.#tracker = new ContainerTracker({
      emitter: this.#emitter,
      inspect: (id, signal) => client.inspectContainer(id, signal),
      requestReconcile: () => this.#follower.requestReconcile(),
      clock,
      logger,
    });
    this.#follower = new EventFollower({
      client,
      handlers: this.#tracker,
      clock,
      logger,
      ...(sinceNano !== undefined && { sinceNano }),
    });
  }

  /** Starts following the engine. Add the listeners first: nothing is told twice. */
  start(): void {
    this.#follower.start();
  }

  /** All containers that exist, stopped ones too, in the order in which they became known. */
  list(): ContainerRecord[] {
    return this.#tracker.list();
  }

  on<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): this {
    this.#emitter.on(name, listener);
    return this;
  }

  once<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): this {
    this.#emitter.once(name, listener);
    return this;
  }

  off<Name extends ManagerEventName>(name: Name, listener: ListenerOf<ManagerEvents, Name>): this {
    this.#emitter.off(name, listener);
    return this;
  }

  /** Of one event, or of all. */
  listenerCount(name?: ManagerEventName): number {
    return this.#emitter.listenerCount(name);
  }

  /** Stops following; an exit whose verdict was still held is not told. Listeners are left to those who added them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#follower[Symbol.asyncDispose]();
    await this.#tracker[Symbol.asyncDispose]();
  }
}
