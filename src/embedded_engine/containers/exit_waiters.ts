/** The clients that wait for the end of a container (`POST /containers/{id}/wait`). */

export type WaitCondition = "not-running" | "next-exit" | "removed";

export const WAIT_CONDITIONS: readonly WaitCondition[] = ["not-running", "next-exit", "removed"];

export interface WaitResult {
  readonly exitCode: number;
  /** Why the last start failed. */
  readonly error?: string;
}

interface Waiter {
  readonly condition: WaitCondition;
  readonly resolve: (result: WaitResult) => void;
}

export class ExitWaiters {
  readonly #waiters = new Set<Waiter>();

  /** @throws the reason of `abort` when it aborts: the client disconnected */
  async wait(condition: WaitCondition, abort: AbortSignal): Promise<WaitResult> {
    abort.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<WaitResult>();
    const waiter: Waiter = { condition, resolve };
    const onAbort = () => reject(abort.reason);
    this.#waiters.add(waiter);
    abort.addEventListener("abort", onAbort, { once: true });
    try {
      return await promise;
    } finally {
      abort.removeEventListener("abort", onAbort);
      this.#waiters.delete(waiter);
    }
  }

  /** The process exited; `runsAgain` when the restart policy starts it again. */
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
