import type { Clock } from "../clock.ts";

export interface WaitLimit {
  readonly limitMs: number;
  readonly clock: Clock;
  /** Ends the wait as well. */
  readonly signal?: AbortSignal;
}

/** Resolves when the promise has settled either way, after the limit, or when the signal aborts. Never rejects. */
export async function waitAtMost(promise: PromiseLike<unknown>, options: WaitLimit): Promise<void> {
  const { limitMs, clock, signal } = options;
  if (signal?.aborted) return;
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const onAbort = (): void => resolve();
  const cancel = clock.after(limitMs, onAbort);
  signal?.addEventListener("abort", onAbort, { once: true });
  promise.then(onAbort, onAbort);
  await over;
  cancel();
  signal?.removeEventListener("abort", onAbort);
}

/** Resolves after the time, or when the signal aborts. */
export async function pause(options: WaitLimit): Promise<void> {
  await waitAtMost(new Promise(() => {}), options);
}
