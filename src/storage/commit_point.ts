import { clearImmediate, setImmediate } from "node:timers";

/**
 * Says when to commit. A block is synchronous code up to the end of its microtask; a turn is what the event loop runs between
 * two of its check phases, such as all lines of one chunk of engine events. One transaction for each line would cost more
 * than everything else that is done for the line.
 *
 * The first event of a turn is committed at the end of its block, so that a single event is published at once. Events that
 * follow in the same turn, and rows that the engine can repeat, wait for the end of the turn. Rows of tasks and sessions never
 * wait, because a client may be promised what they say. A commit takes everything that waits.
 */
export class CommitPoint implements Disposable {
  readonly #commit: () => void;
  #isBlockScheduled = false;
  #hadEvent = false;
  #isDisposed = false;
  #turnEnd: ReturnType<typeof setImmediate> | undefined;

  constructor(commit: () => void) {
    this.#commit = commit;
  }

  /** An event waits: commit at the end of the block when it is the first of this turn, else at the end of the turn. */
  forEvent(): void {
    if (!this.#hadEvent) this.atBlockEnd();
    this.#hadEvent = true;
    this.atTurnEnd();
  }

  atBlockEnd(): void {
    if (this.#isBlockScheduled) return;
    this.#isBlockScheduled = true;
    queueMicrotask(this.#endBlock);
  }

  atTurnEnd(): void {
    if (this.#isDisposed) this.atBlockEnd();
    else this.#turnEnd ??= setImmediate(this.#endTurn);
  }

  /** From now on nothing waits for the end of a turn. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    if (this.#turnEnd === undefined) return;
    clearImmediate(this.#turnEnd);
    this.#turnEnd = undefined;
    this.atBlockEnd();
  }

  readonly #endBlock = (): void => {
    this.#isBlockScheduled = false;
    this.#commit();
  };

  readonly #endTurn = (): void => {
    this.#turnEnd = undefined;
    this.#hadEvent = false;
    this.#commit();
  };
}
