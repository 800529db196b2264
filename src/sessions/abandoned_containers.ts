import type { Clock } from "../platform/clock.ts";

/** An engine that gave no reply in time may still do what it was asked. */
const LOOK_OUT_MS = 60_000;

/** Names of containers that nobody waits for any more, and that may still come. Whether one is ours, its label says. */
export class AbandonedContainers implements Disposable {
  readonly #clock: Clock;
  readonly #names = new Map<string, () => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(name: string): void {
    this.take(name);
    this.#names.set(name, this.#clock.after(LOOK_OUT_MS, () => this.#names.delete(name)));
  }

  /** Whether that one is among them; not any more after that. */
  take(name: string): boolean {
    this.#names.get(name)?.();
    return this.#names.delete(name);
  }

  [Symbol.dispose](): void {
    for (const cancel of this.#names.values()) cancel();
    this.#names.clear();
  }
}
