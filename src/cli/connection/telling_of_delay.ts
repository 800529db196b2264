export interface TellingOfDelayOptions {
  readonly afterMs: number;
  readonly tell: () => Promise<void>;
}

/** The same as `work`; when that takes its time, the person who waits is told why, once. @throws what either throws */
export async function tellingOfDelay<T>(
  work: Promise<T>,
  { afterMs, tell }: TellingOfDelayOptions,
): Promise<T> {
  let telling: Promise<void> = Promise.resolve();
  const timer = setTimeout(() => {
    telling = tell();
    // It is looked at once the work is done.
    telling.catch(() => {});
  }, afterMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
    await telling;
  }
}
