/** Time, in a form that a test can control. Everything that waits or takes timestamps takes a clock by constructor. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Runs `callback` once after `delayMs`. Returns a function that cancels it, and that may be called at any time. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** The runtime runs a timer with a longer delay at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * Runs `callback` once when the clock reaches `dueMs` (since the Unix epoch), which may be months ahead.
 * @returns a function that cancels it
 */
export function runAt(
  dueMs: number,
  { clock, callback }: { readonly clock: Clock; readonly callback: () => void },
): () => void {
  let cancel = (): void => {};
  const arm = (): void => {
    const leftMs = dueMs - clock.now();
    if (leftMs > MAX_DELAY_MS) cancel = clock.after(MAX_DELAY_MS, arm);
    else cancel = clock.after(Math.max(0, leftMs), callback);
  };
  arm();
  return () => cancel();
}
