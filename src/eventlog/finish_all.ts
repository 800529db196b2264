import type { Clock } from "../platform/clock.ts";
import type { Subscription } from "./subscription.ts";

/** Lets each of `subscriptions` catch up and end; those that have not after `limitMs` are cut. */
export async function finishAll(
  subscriptions: Iterable<Subscription>,
  { clock, limitMs }: { clock: Clock; limitMs: number },
): Promise<void> {
  const ending = [...subscriptions];
  const { promise: timeUp, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(limitMs, resolve);
  await Promise.race([timeUp, Promise.all(ending.map((subscription) => subscription.finish()))]);
  cancel();
  for (const subscription of ending) subscription.close();
}
