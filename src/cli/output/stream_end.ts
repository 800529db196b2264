/** Words for what records of a newer daemon may say, too. */
import { printable } from "./table.ts";

/**
 * How one connection ended: as a limit or a shutdown says; without a word; in silence where heartbeats were asked for; or by
 * the daemon for another reason.
 */
export type StreamEnd = "limit" | "shutdown" | "cut" | "silent" | { readonly reason: string };

/** What the reason of a `stream.bye` means. */
export function endOf(reason: string): StreamEnd {
  return reason === "limit" || reason === "shutdown" ? reason : { reason };
}

/** What the reason of a `stream.gap` means, in words. */
export function gapReason(reason: string): string {
  return GAP_REASONS.get(reason) ?? printable(reason);
}

const GAP_REASONS: ReadonlyMap<string, string> = new Map([
  ["evicted", "they are not kept any more"],
  ["epoch", "the log has begun anew"],
  ["future", "the log is not as far as that"],
]);
