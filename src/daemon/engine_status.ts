import type {
  EngineConnectedEvent,
  EngineDisconnectedEvent,
} from "../containers/changes/container_events.ts";
import type { ContainerManager } from "../containers/container_manager.ts";
import type { EngineAddress } from "../engine/discovery/engine_address.ts";
import type { StatusResult } from "../protocol/control.ts";

/** How the connection to the engine stands, for `apex status`: what the engine's events last said. */
export class EngineStatus implements Disposable {
  readonly #containers: ContainerManager;
  #current: StatusResult["engine"];
  readonly #firstCaughtUp = Promise.withResolvers<void>();
  #connected = Promise.withResolvers<void>();

  constructor({ containers, engine }: { containers: ContainerManager; engine: EngineAddress }) {
    this.#containers = containers;
    this.#current = { state: "connecting", socket: engine.socketPath, source: engine.source };
    containers.on("engine:connected", this.#onConnected);
    containers.on("engine:caught-up", this.#onCaughtUp);
    containers.on("engine:disconnected", this.#onDisconnected);
  }

  /** Resolves when all that the engine had to tell at first is told: from then on its containers are known. */
  get firstCaughtUp(): Promise<void> {
    return this.#firstCaughtUp.promise;
  }

  /** Resolves when the engine is connected: at once, or the next time that it is. */
  get connected(): Promise<void> {
    return this.#connected.promise;
  }

  get current(): StatusResult["engine"] {
    return this.#current;
  }

  [Symbol.dispose](): void {
    this.#containers.off("engine:connected", this.#onConnected);
    this.#containers.off("engine:caught-up", this.#onCaughtUp);
    this.#containers.off("engine:disconnected", this.#onDisconnected);
  }

  readonly #onConnected = ({ engine, version }: EngineConnectedEvent): void => {
    const { socket, source } = this.#current;
    this.#current = { state: "connected", kind: engine, version, socket, source };
    this.#connected.resolve();
  };

  readonly #onCaughtUp = (): void => this.#firstCaughtUp.resolve();

  readonly #onDisconnected = ({ error }: EngineDisconnectedEvent): void => {
    if (this.#current.state === "connected") this.#connected = Promise.withResolvers();
    this.#current = { ...this.#current, state: "disconnected", error };
  };
}
