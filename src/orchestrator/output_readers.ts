/**
 * The clients that read a task's output. The container of an ended task is left while there are any, as the engine keeps the
 * output only as long as the container. Those of an earlier life are expected back for some time: they reconnect.
 */
import { settlesWithin } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";

export interface OutputReadersOptions {
  readonly clock: Clock;
  /** Aborted at disposal. */
  readonly disposal: AbortSignal;
  /** The last reader is done, or was expected in vain; not called once disposal has begun: the readers will be back. */
  readonly onNone: () => void;
}

/** A client reconnects for 30 s. */
const EXPECTED_FOR_MS = 30_000;

export class OutputReaders {
  readonly #options: OutputReadersOptions;
  readonly #reading = new Set<Promise<void>>();
  readonly #arrived = Promise.withResolvers<void>();
  #hasArrived = false;

  constructor(options: OutputReadersOptions) {
    this.#options = options;
  }

  /** One that reads until the promise settles. */
  add(reading: Promise<unknown>): void {
    this.#track(reading.then(() => {}, () => {}));
    this.#hasArrived = true;
    this.#arrived.resolve();
  }

  /** One that read in an earlier life, and may come back. */
  expect(): void {
    if (this.#hasArrived) return;
    const { clock, disposal } = this.#options;
    this.#track(settlesWithin(this.#arrived.promise, { timeoutMs: EXPECTED_FOR_MS, clock, abort: disposal }));
  }

  get isReading(): boolean {
    return this.#reading.size > 0;
  }

  /** Resolves when nobody reads. */
  async none(): Promise<void> {
    while (this.#reading.size > 0) await Promise.all(this.#reading);
  }

  #track(reading: Promise<unknown>): void {
    const tracked = reading.then(() => {
      this.#reading.delete(tracked);
      if (this.#reading.size === 0 && !this.#options.disposal.aborted) this.#options.onNone();
    });
    this.#reading.add(tracked);
  }
}
