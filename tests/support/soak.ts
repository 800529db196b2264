/** Returns how often a test repeats its work: `usual` times, or `soak` times if `APEX_SOAK=1` allows long tests. */
export function soakCount(counts: { readonly usual: number; readonly soak: number }): number {
  return isSoak() ? counts.soak : counts.usual;
}

/** Returns whether `APEX_SOAK=1` allows long tests. */
export function isSoak(): boolean {
  return Deno.env.get("APEX_SOAK") === "1";
}
