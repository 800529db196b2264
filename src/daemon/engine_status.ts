import type {
  EngineConnectedEvent,
  EngineDisconnectedEvent,
} from "../containers/changes/container_events.ts";
import type { ContainerManager } from "../containers/container_manager.ts";
import type { EngineAddress } from "../engine/discovery/engine_address.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { StatusResult } from "../protocol/daemon_operations.ts";

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

/** An engine that refuses connections, or has no socket, may be about to start. */
const FAILING_LIMIT_MS = 3_000;
/** One that takes the connection and does not answer yet is starting: Docker takes its time with a socket unit. */
const SILENT_LIMIT_MS = 15_000;

export interface EngineDeadlineOptions {
  readonly engine: Pick<EngineStatus, "current">;
  readonly clock: Clock;
}

/** Ends a daemon that a client started when it has never reached its engine: nobody would look after it. */
export class EngineDeadline implements Disposable {
  readonly #missed = Promise.withResolvers<never>();
  readonly #cancels: (() => void)[];

  /** It runs from here on. */
  constructor({ engine, clock }: EngineDeadlineOptions) {
    // Whoever waits for it sees it.
    this.#missed.promise.catch(() => {});
    const miss = (): void => this.#missed.reject(noEngine(engine.current));
    const hasFailed = (): boolean => engine.current.state === "disconnected";
    const isUnknown = (): boolean => engine.current.kind === undefined;
    this.#cancels = [
      clock.after(FAILING_LIMIT_MS, () => isUnknown() && hasFailed() && miss()),
      clock.after(SILENT_LIMIT_MS, () => isUnknown() && miss()),
    ];
  }

  /** Rejects when it is missed, with an {@linkcode ApexError} `engine`; never resolves. */
  get missed(): Promise<never> {
    return this.#missed.promise;
  }

  [Symbol.dispose](): void {
    for (const cancel of this.#cancels) cancel();
  }
}

function noEngine({ socket, source, error }: EngineStatus["current"]): ApexError {
  const why = error ?? `the engine at ${socket} (from ${source}) does not answer`;
  return new ApexError(
    "engine",
    `this daemon was started in the background and ends without an engine (in the foreground it would keep trying): ${why}`,
  );
}
