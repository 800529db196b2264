/**
 * Waits with a limit. Each of them leaves nothing behind when it ends: no timer, and no listener on a signal that may live
 * as long as the daemon. (`@std/async` has no injected clock, and its `deadline` uses `AbortSignal.any`, which Deno 2.4
 * may collect although it has listeners.)
 */
import { type Clock, systemClock } from "../clock.ts";

export interface DelayOptions {
  readonly clock: Clock;
  readonly abort: AbortSignal;
}

/**
 * Resolves after `delayMs` of the given clock.
 * @throws the reason of `abort`, as soon as it aborts
 */
export function abortableDelay(delayMs: number, { clock, abort }: DelayOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    abort.throwIfAborted();
    const onAbort = (): void => {
      cancel();
      reject(abort.reason);
    };
    const cancel = clock.after(delayMs, () => {
      abort.removeEventListener("abort", onAbort);
      resolve();
    });
    abort.addEventListener("abort", onAbort, { once: true });
  });
}

/** Resolves with true after `delayMs`, or with false as soon as `abort` aborts. Never rejects. */
export async function delayUnlessAborted(delayMs: number, options: DelayOptions): Promise<boolean> {
  try {
    await abortableDelay(delayMs, options);
    return true;
  } catch (error) {
    if (options.abort.aborted) return false;
    throw error;
  }
}

export interface WaitLimits {
  /** Undefined: no time limit. */
  readonly timeoutMs?: number | undefined;
  /** Default: the machine's clock. */
  readonly clock?: Clock;
  /** Ends the wait early. */
  readonly abort?: AbortSignal | undefined;
}

/**
 * Waits for `promise`: true when it resolves before the time is up and before `abort` aborts, else false.
 * @throws what `promise` rejects with before that
 */
export async function settlesWithin(promise: PromiseLike<unknown>, limits: WaitLimits): Promise<boolean> {
  const { timeoutMs, clock = systemClock, abort } = limits;
  const limit = Promise.withResolvers<false>();
  const giveUp = (): void => limit.resolve(false);
  const cancel = timeoutMs === undefined ? undefined : clock.after(timeoutMs, giveUp);
  abort?.addEventListener("abort", giveUp, { once: true });
  if (abort?.aborted) giveUp();
  try {
    return await Promise.race([promise.then(() => true), limit.promise]);
  } finally {
    cancel?.();
    abort?.removeEventListener("abort", giveUp);
  }
}

export interface SlowNotice {
  readonly afterMs: number;
  readonly notify: () => Promise<void>;
}

/** Returns the result of `work`, and calls `notify` once when it takes longer than `afterMs`. @throws what either throws */
export async function notifyIfSlow<T>(work: Promise<T>, { afterMs, notify }: SlowNotice): Promise<T> {
  let notice: Promise<void> = Promise.resolve();
  const timer = setTimeout(() => {
    notice = notify();
    // A failure is thrown once the work is done.
    notice.catch(() => {});
  }, afterMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
    await notice;
  }
}
