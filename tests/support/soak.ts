/**
 * What some tests repeat: a few times in every run, and as often as their promise has it where `APEX_SOAK=1` says that
 * there is time.
 */
export function soakCount(counts: { readonly usual: number; readonly soak: number }): number {
  return isSoak() ? counts.soak : counts.usual;
}

/** There is time, also for tests that have to wait for half a minute. */
export function isSoak(): boolean {
  return Deno.env.get("APEX_SOAK") === "1";
}
