import type { Clock } from "../clock.ts";

/** The runtime takes a longer delay for none. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Runs `callback` once when the clock stands at `dueMs` (since the Unix epoch), months ahead too; returns what cancels it. */
export function atTime(
  dueMs: number,
  { clock, callback }: { clock: Clock; callback: () => void },
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
