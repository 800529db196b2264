import type { Clock } from "../platform/clock.ts";

/** Calls `onIdle` once there have been no containers and no requests for `idleMs`. Runs from its construction on. */
export class IdleTimer implements Disposable {
  readonly #options: { readonly clock: Clock; readonly idleMs: number; readonly onIdle: () => void };
  #containers = 0;
  #requests = 0;
  #cancel: () => void = () => {};
  #disposed = false;

  constructor(options: { clock: Clock; idleMs: number; onIdle: () => void }) {
    this.#options = options;
    this.#update();
  }

  setContainers(count: number): void {
    this.#containers = count;
    this.#update();
  }

  /** Requests in flight; one that follows events is in flight as long as it does. */
  setRequests(count: number): void {
    this.#requests = count;
    this.#update();
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#cancel();
  }

  #update(): void {
    this.#cancel();
    if (this.#disposed || this.#containers > 0 || this.#requests > 0) return;
    this.#cancel = this.#options.clock.after(this.#options.idleMs, this.#options.onIdle);
  }
}
