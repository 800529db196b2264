import type { Clock } from "../platform/clock.ts";

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly everyMs: number;
  /** When something was last sent, in milliseconds since the Unix epoch. */
  readonly lastSentMs: () => number;
  readonly beat: () => void;
}

/** Beats whenever nothing was sent for a while. Not one that does not take what it was sent: it has one waiting. */
export class Heartbeat implements Disposable {
  readonly #options: HeartbeatOptions;
  #cancel: () => void;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#cancel = options.clock.after(options.everyMs, this.#look);
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }

  readonly #look = (): void => {
    const { clock, everyMs, lastSentMs, beat } = this.#options;
    const quietMs = clock.now() - lastSentMs();
    const isDue = quietMs >= everyMs;
    // A clock that was set back must not make it wait for longer.
    this.#cancel = clock.after(isDue ? everyMs : Math.min(everyMs, everyMs - quietMs), this.#look);
    if (isDue) beat();
  };
}
