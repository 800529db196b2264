import { clearImmediate, setImmediate } from "node:timers";
import type { Subscription } from "./subscription.ts";

/**
 * Subscribers started in one turn of the event loop. Thousands of writes in flight at once cost more than the writes:
 * one line to 10,000 sockets takes 27 ms in lanes of 64 to 256, and 90 ms and twice the memory all at once.
 */
const LANE_WIDTH = 128;

/**
 * Starts idle subscribers, so many in each turn of the event loop, and never waits for their writes: one that stalls
 * holds no lane. Who waits here is in exactly one batch, so the queue is bounded by the number of subscribers.
 */
export class WakeScheduler implements Disposable {
  readonly #batches: Iterator<Subscription>[] = [];
  #nextTurn: ReturnType<typeof setImmediate> | undefined;
  readonly #turn = (): void => this.#startSome();

  /** Starts all of `batch`, the first of them at once. The batch must not change any more. */
  wake(batch: Iterable<Subscription>): void {
    this.#batches.push(batch[Symbol.iterator]());
    if (this.#nextTurn === undefined) this.#startSome();
  }

  /** Starts nobody any more. */
  [Symbol.dispose](): void {
    if (this.#nextTurn !== undefined) clearImmediate(this.#nextTurn);
    this.#nextTurn = undefined;
    this.#batches.length = 0;
  }

  #startSome(): void {
    this.#nextTurn = undefined;
    let started = 0;
    while (this.#batches.length > 0) {
      const next = this.#batches[0]!.next();
      if (next.done) {
        this.#batches.shift();
        continue;
      }
      next.value.wake();
      if (++started < LANE_WIDTH) continue;
      this.#nextTurn = setImmediate(this.#turn);
      return;
    }
  }
}
