/**
 * Does one piece of work after the other. What finds nothing before it is begun at once, in the caller's turn: a key on
 * its way through several processes would pay for each turn more.
 */
export class InOrder {
  #pending = 0;
  /** Settles with the work that was asked for last, and never rejects. */
  #last: Promise<void> = Promise.resolve();

  /** Resolves, or rejects, as the work does; what fails keeps nothing of what follows. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#pending === 0 ? work() : this.#last.then(work);
    this.#pending++;
    const settled = (): void => void this.#pending--;
    this.#last = done.then(settled, settled);
    return done;
  }
}
