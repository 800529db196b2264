/** The right to one of the places of a {@linkcode Semaphore}, or to a place in its queue. */
export interface SemaphorePermit {
  /** How many permits had to be released before this one was granted; 0 if it was granted at once. */
  readonly ahead: number;
  /** Gives the permit back, or leaves the queue. Idempotent. */
  release(): void;
}

/**
 * Grants a limited number of permits at once, and the others in the order of their requests. The queue has no limit of its
 * own: the callers have to limit their requests.
 */
export class Semaphore {
  readonly #limit: number;
  #granted = 0;
  /** First come, first served. */
  readonly #queue = new Set<() => void>();

  /** @param limit a positive integer, or `Infinity` */
  constructor(limit: number) {
    if (limit !== Infinity && !(Number.isInteger(limit) && limit >= 1)) {
      throw new RangeError(`The limit of a semaphore must be a positive integer: it is ${limit}`);
    }
    this.#limit = limit;
  }

  /** @param onGranted called before this returns, or in the `release` of another permit */
  acquire(onGranted: () => void): SemaphorePermit {
    const grant = (): void => {
      this.#granted++;
      onGranted();
    };
    const ahead = this.#granted < this.#limit ? 0 : this.#queue.size + 1;
    if (ahead > 0) this.#queue.add(grant);
    else grant();
    return this.#permit(ahead, grant);
  }

  /** Grants a permit at once, beyond the limit if necessary: for what already runs. */
  acquireBeyondLimit(): SemaphorePermit {
    this.#granted++;
    return this.#permit(0);
  }

  /** Resolves when the permit is granted. */
  async acquired(): Promise<SemaphorePermit> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const permit = this.acquire(resolve);
    await promise;
    return permit;
  }

  /** Runs `work` with a permit. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const permit = await this.acquired();
    try {
      return await work();
    } finally {
      permit.release();
    }
  }

  #permit(ahead: number, grant?: () => void): SemaphorePermit {
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      if (grant === undefined || !this.#queue.delete(grant)) this.#released();
    };
    return { ahead, release };
  }

  #released(): void {
    this.#granted--;
    for (const grant of this.#queue) {
      if (this.#granted >= this.#limit) return;
      this.#queue.delete(grant);
      grant();
    }
  }
}

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
