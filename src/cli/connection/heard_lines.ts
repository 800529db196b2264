import type { LineStream } from "../../client/line_stream.ts";
import { type Clock, systemClock } from "../../platform/clock.ts";

/** A stream is broken that has missed so many of those which were asked for. */
const MISSED_HEARTBEATS = 3;
/** When a timer fires, what has come meanwhile may not have been taken yet: so long it has for that. */
const GRACE_MS = 250;
/** A timer that is later than this says that this process stood still itself: stopped, or with its machine. */
const STOOD_STILL_MS = 250;

/** How long a stream may be silent, in ms. */
export function silenceMs(heartbeatMs: number): number {
  return heartbeatMs * MISSED_HEARTBEATS;
}

export interface HeardLinesOptions {
  /** Undefined where no heartbeats were asked for. */
  readonly heartbeatMs: number | undefined;
  readonly clock?: Clock;
}

/**
 * The next whole lines of a stream; `cut` at its end; `silent`, and the stream is disposed of, when it has shown no sign of
 * life for {@linkcode silenceMs} and a moment, where heartbeats were asked for. Time in which this process stood still does
 * not count.
 *
 * @throws as {@linkcode LineStream.next} does
 */
export async function heardLines(
  stream: LineStream,
  { heartbeatMs, clock = systemClock }: HeardLinesOptions,
): Promise<Uint8Array | "cut" | "silent"> {
  if (heartbeatMs === undefined) return await stream.next() ?? "cut";
  let isSilent = false;
  let cancel = (): void => {};
  const wait = (waitMs: number, onTime: () => void): void => {
    const dueMs = clock.now() + waitMs;
    cancel = clock.after(waitMs, () => clock.now() - dueMs > STOOD_STILL_MS ? begin() : onTime());
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
