import type { ContainerManager } from "../containers/container_manager.ts";
import type { EngineAddress } from "../engine/discovery/engine_address.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { StatusResult } from "../protocol/daemon_operations.ts";

/** The state of the connection to the engine, as its last event reported it. */
export class EngineStatus implements Disposable {
  readonly #subscriptions = new DisposableStack();
  #current: StatusResult["engine"];
  readonly #firstCaughtUp = Promise.withResolvers<void>();
  #connected = Promise.withResolvers<void>();

  constructor({ containers, engine }: { containers: ContainerManager; engine: EngineAddress }) {
    const { socketPath: socket, source } = engine;
    this.#current = { state: "connecting", socket, source };
    this.#subscriptions.defer(containers.on("engine:connected", ({ engine: kind, version }) => {
      this.#current = { state: "connected", kind, version, socket, source };
      this.#connected.resolve();
    }));
    this.#subscriptions.defer(containers.on("engine:caught-up", () => this.#firstCaughtUp.resolve()));
    this.#subscriptions.defer(containers.on("engine:disconnected", ({ error }) => {
      if (this.#current.state === "connected") this.#connected = Promise.withResolvers();
      this.#current = { ...this.#current, state: "disconnected", error };
    }));
  }

  /** Resolves when the engine's containers are known, and their first events published. */
  get firstCaughtUp(): Promise<void> {
    return this.#firstCaughtUp.promise;
  }

  /** Resolves when the engine is connected: now, or the next time. */
  get connected(): Promise<void> {
    return this.#connected.promise;
  }

  get current(): StatusResult["engine"] {
    return this.#current;
  }

  [Symbol.dispose](): void {
    this.#subscriptions.dispose();
  }
}

/** An engine that refuses connections, or has no socket, may be starting. */
const FAILING_LIMIT_MS = 3_000;
/** An engine that accepts the connection and does not answer yet is starting: with a socket unit, Docker does so slowly. */
const SILENT_LIMIT_MS = 15_000;

/** Ends a daemon in the background that never reaches its engine: no user would notice that it runs. */
export class EngineDeadline implements Disposable {
  readonly #missed = Promise.withResolvers<never>();
  readonly #cancels: (() => void)[];

  constructor({ engine, clock }: { readonly engine: Pick<EngineStatus, "current">; readonly clock: Clock }) {
    // The rejection is handled by the caller of `missed`.
    this.#missed.promise.catch(() => {});
    const miss = (): void => this.#missed.reject(noEngine(engine.current));
    const hasFailed = (): boolean => engine.current.state === "disconnected";
    const isUnknown = (): boolean => engine.current.kind === undefined;
    this.#cancels = [
      clock.after(FAILING_LIMIT_MS, () => isUnknown() && hasFailed() && miss()),
      clock.after(SILENT_LIMIT_MS, () => isUnknown() && miss()),
    ];
  }

  /** Rejects with an {@linkcode ApexError} `engine` when the deadline is missed; never resolves. */
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
