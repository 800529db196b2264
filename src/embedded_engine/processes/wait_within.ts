/** Waits for `event`, but not longer than `timeoutMs`; leaves no timer behind. */
export async function waitWithin(timeoutMs: number, event: Promise<unknown>): Promise<void> {
  const { promise: timedOut, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  await Promise.race([event, timedOut]);
  clearTimeout(timer);
}
