/** The clients that wait for the end of a container (`POST /containers/{id}/wait`). */
import { Latch } from "../../platform/async/latch.ts";

export type ExitCondition = "not-running" | "next-exit" | "removed";

export const EXIT_CONDITIONS: readonly ExitCondition[] = ["not-running", "next-exit", "removed"];

export interface WaitResult {
  readonly exitCode: number;
  /** Why the last start failed. */
  readonly error?: string;
}

export class ExitWaiters {
  readonly #waiters = new Set<{ readonly condition: ExitCondition; readonly end: Latch<WaitResult> }>();

  /** @throws the reason of `abort` when it aborts: the client disconnected */
  async wait(condition: ExitCondition, abort: AbortSignal): Promise<WaitResult> {
    const waiter = { condition, end: new Latch<WaitResult>() };
    this.#waiters.add(waiter);
    try {
      return await waiter.end.until(abort);
    } finally {
      this.#waiters.delete(waiter);
    }
  }

  /** The process exited; `runsAgain` when the restart policy starts it again. */
  exited(result: WaitResult, { runsAgain }: { runsAgain: boolean }): void {
    for (const { condition, end } of this.#waiters) {
      if (condition === "next-exit" || (condition === "not-running" && !runsAgain)) end.open(result);
    }
  }

  removed(result: WaitResult): void {
    for (const { end } of this.#waiters) end.open(result);
  }
}
