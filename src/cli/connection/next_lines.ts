/** Reads an event stream from the daemon, and describes how it ended. */
import type { LineStream } from "../../client/line_stream.ts";
import { type Clock, systemClock } from "../../platform/clock.ts";
import { printable } from "../output/table.ts";

/** A stream without this many consecutive heartbeats counts as broken. */
const MISSED_HEARTBEATS = 3;
/** When the time is up, lines may have arrived that are still unread; they get this much time. */
const GRACE_MS = 250;
/** A timer that is later than this shows that this process, or its machine, was suspended. */
const SUSPENDED_MS = 250;

/** How long a stream may be silent, in ms. */
export function silenceMs(heartbeatMs: number): number {
  return heartbeatMs * MISSED_HEARTBEATS;
}

export interface NextLinesOptions {
  /** The requested interval; undefined disables the watch for heartbeats. */
  readonly heartbeatMs: number | undefined;
  readonly clock?: Clock;
}

/**
 * The next whole lines of a stream, or `cut` at its end. If heartbeats were requested and nothing arrives for
 * {@linkcode silenceMs} and a short grace period, disposes of the stream and returns `silent`. Time in which this process was
 * suspended does not count.
 *
 * @throws as {@linkcode LineStream.next} does
 */
export async function nextLines(
  stream: LineStream,
  { heartbeatMs, clock = systemClock }: NextLinesOptions,
): Promise<Uint8Array | "cut" | "silent"> {
  if (heartbeatMs === undefined) return await stream.next() ?? "cut";
  let isSilent = false;
  let cancel = (): void => {};
  const wait = (waitMs: number, onTime: () => void): void => {
    const dueMs = clock.now() + waitMs;
    cancel = clock.after(waitMs, () => clock.now() - dueMs > SUSPENDED_MS ? begin() : onTime());
  };
  const begin = (): void =>
    wait(silenceMs(heartbeatMs), () =>
      wait(GRACE_MS, () => {
        isSilent = true;
        stream[Symbol.dispose]();
      }));
  begin();
  try {
    return await stream.next() ?? (isSilent ? "silent" : "cut");
  } finally {
    cancel();
  }
}

/**
 * How a stream ended: with its limit, with the daemon's shutdown, with a lost connection, with missing heartbeats, or for
 * another reason that the daemon gave.
 */
export type StreamEnd = "limit" | "shutdown" | "cut" | "silent" | { readonly reason: string };

/** The meaning of the reason of a `stream.bye`, which a newer daemon may have extended. */
export function endOf(reason: string): StreamEnd {
  return reason === "limit" || reason === "shutdown" ? reason : { reason };
}

const GAP_REASONS: ReadonlyMap<string, string> = new Map([
  ["evicted", "the daemon no longer keeps them"],
  ["epoch", "the event log was replaced"],
  ["future", "the event log has not reached that cursor"],
]);

/** The reason of a `stream.gap` in words. A newer daemon may send other reasons. */
export function gapReason(reason: string): string {
  return GAP_REASONS.get(reason) ?? printable(reason);
}
