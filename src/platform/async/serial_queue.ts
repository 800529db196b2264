/**
 * Runs pieces of work one after another. When none is pending, `run` starts its work before it returns: a keystroke on its
 * way through several processes would pay for an extra turn of the event loop in each of them.
 */
export class SerialQueue {
  #pending = 0;
  /** Settles with the work that was added last, and never rejects. */
  #last: Promise<void> = Promise.resolve();

  /** Settles as `work` does. A failure does not affect the work that follows. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#pending === 0 ? work() : this.#last.then(work);
    this.#pending++;
    const settled = (): void => void this.#pending--;
    this.#last = done.then(settled, settled);
    return done;
  }
}
