/** Those who wait for a container's end (`POST /containers/{id}/wait`). */
export type WaitCondition = "not-running" | "next-exit" | "removed";

export const WAIT_CONDITIONS: readonly WaitCondition[] = ["not-running", "next-exit", "removed"];

export interface WaitResult {
  readonly exitCode: number;
  /** Why it could not be started. */
  readonly error?: string;
}

interface Waiter {
  readonly condition: WaitCondition;
  readonly resolve: (result: WaitResult) => void;
}

export class ExitWaiters {
  readonly #waiters = new Set<Waiter>();

  /** @throws the signal's reason when it aborts: the client has gone */
  async wait(condition: WaitCondition, signal: AbortSignal): Promise<WaitResult> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<WaitResult>();
    const waiter: Waiter = { condition, resolve };
    const abort = () => reject(signal.reason);
    this.#waiters.add(waiter);
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", abort);
      this.#waiters.delete(waiter);
    }
  }

  /** A process ended; `runsAgain` when the restart policy starts another. */
  exited(result: WaitResult, { runsAgain }: { runsAgain: boolean }): void {
    this.#resolve(
      result,
      (condition) => condition === "next-exit" || (condition === "not-running" && !runsAgain),
    );
  }

  removed(result: WaitResult): void {
    this.#resolve(result, () => true);
  }

  #resolve(result: WaitResult, concerns: (condition: WaitCondition) => boolean): void {
    for (const waiter of this.#waiters) {
      if (concerns(waiter.condition)) waiter.resolve(result);
    }
  }
}
