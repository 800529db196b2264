import type { Clock } from "../clock.ts";

export interface WaitOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Resolves after `delayMs` of the given clock.
 * @throws the signal's reason, at once when it aborts
 */
export function abortableWait(delayMs: number, { clock, signal }: WaitOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const onAbort = () => {
      cancel();
      reject(signal.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
