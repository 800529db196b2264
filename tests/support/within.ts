/**
 * The same promise, with an end to waiting: a test that hangs says nothing, one that fails says what it waited for.
 * @param what for the message: "dockerd's end"
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
