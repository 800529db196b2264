import { clearImmediate, setImmediate } from "node:timers";
import type { Subscription } from "./subscription.ts";

/**
 * Subscribers woken in one turn of the event loop. Thousands of writes in flight at once cost more than the writes themselves:
 * one line to 10,000 sockets takes 27 ms in batches of 64 to 256, and 90 ms and twice the memory all at once.
 */
const WAKES_PER_TURN = 128;

/**
 * Wakes idle subscribers, a limited number in each turn of the event loop. It never waits for their writes, so a stalled
 * subscriber delays no other. Each subscriber is in one batch at most, which bounds the queue.
 */
export class WakeScheduler implements Disposable {
  readonly #batches: Iterator<Subscription>[] = [];
  #nextTurn: ReturnType<typeof setImmediate> | undefined;

  /** Wakes all of `batch`, the first ones now. The caller must not change `batch` afterwards. */
  wake(batch: Iterable<Subscription>): void {
    this.#batches.push(batch[Symbol.iterator]());
    if (this.#nextTurn === undefined) this.#wakeSome();
  }

  /** Wakes no more subscribers. */
  [Symbol.dispose](): void {
    if (this.#nextTurn !== undefined) clearImmediate(this.#nextTurn);
    this.#nextTurn = undefined;
    this.#batches.length = 0;
  }

  readonly #wakeSome = (): void => {
    this.#nextTurn = undefined;
    let woken = 0;
    while (this.#batches.length > 0) {
      const next = this.#batches[0]!.next();
      if (next.done) {
        this.#batches.shift();
        continue;
      }
      next.value.wake();
      if (++woken < WAKES_PER_TURN) continue;
      this.#nextTurn = setImmediate(this.#wakeSome);
      return;
    }
  };
}
