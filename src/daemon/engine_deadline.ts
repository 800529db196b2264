import { ApexError } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { EngineStatus } from "./engine_status.ts";

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
