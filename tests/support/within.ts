/**
 * Returns `promise` with a time limit, so that a test that would hang fails instead.
 * @param what what the test waits for, for the message: "the end of dockerd"
 * @throws when the limit is over; else as `promise`
 */
export async function within<T>(limitMs: number, what: string, promise: PromiseLike<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`waited ${limitMs / 1000} s for ${what}`)), limitMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
