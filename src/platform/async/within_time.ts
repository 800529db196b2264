import type { Clock } from "../clock.ts";

/** Whether it settles in time. @throws what it rejects with, in time */
export async function withinTime(
  work: PromiseLike<unknown>,
  { limitMs, clock }: { readonly limitMs: number; readonly clock: Clock },
): Promise<boolean> {
  const timeUp = Promise.withResolvers<false>();
  const cancel = clock.after(limitMs, () => timeUp.resolve(false));
  try {
    return await Promise.race([work.then(() => true), timeUp.promise]);
  } finally {
    cancel();
  }
}
