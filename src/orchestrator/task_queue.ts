/** A place in a {@linkcode TaskQueue}. */
export interface QueueTicket {
  /** How many have to leave before its turn comes, when it entered; 0: its turn came at once. */
  readonly ahead: number;
  /** Gives the turn back, or leaves without having had it. May be called again. */
  leave(): void;
}

/**
 * Lets a limited number in at once, the others in the order in which they came. How long it gets is bounded by those who
 * enter: {@linkcode TaskRunner} refuses tasks beyond its limit.
 */
export class TaskQueue {
  readonly #limit: number;
  #inside = 0;
  /** Of those that wait, first come first. */
  readonly #waiting = new Set<() => void>();

  /** @param limit 1 or more; `Infinity` lets everybody in at once */
  constructor(limit: number) {
    if (limit !== Infinity && !(Number.isInteger(limit) && limit >= 1)) {
      throw new RangeError(`A limit must be a whole number from 1 on, not ${limit}`);
    }
    this.#limit = limit;
  }

  /** @param begin called when the turn comes: before this returns, or inside the `leave` of another */
  enter(begin: () => void): QueueTicket {
    const turn = (): void => {
      this.#inside++;
      begin();
    };
    const ahead = this.#inside < this.#limit ? 0 : this.#waiting.size + 1;
    const leave = once(() => {
      if (!this.#waiting.delete(turn)) this.#left();
    });
    if (ahead > 0) this.#waiting.add(turn);
    else turn();
    return { ahead, leave };
  }

  /** Takes a turn at once, beyond the limit if need be: for what runs already. */
  occupy(): QueueTicket {
    this.#inside++;
    return { ahead: 0, leave: once(() => this.#left()) };
  }

  /** Resolves with the ticket when the turn has come. */
  async pass(): Promise<QueueTicket> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const ticket = this.enter(resolve);
    await promise;
    return ticket;
  }

  /** Does `work` when the turn has come, and gives it back after. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const ticket = await this.pass();
    try {
      return await work();
    } finally {
      ticket.leave();
    }
  }

  #left(): void {
    this.#inside--;
    for (const turn of this.#waiting) {
      if (this.#inside >= this.#limit) return;
      this.#waiting.delete(turn);
      turn();
    }
  }
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}
