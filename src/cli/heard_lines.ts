import type { LineStream } from "../client/line_stream.ts";
import { systemClock } from "../platform/clock.ts";

/** A stream is broken that has missed so many of those which were asked for. */
const MISSED_HEARTBEATS = 3;

/** How long a stream may be silent, in ms. */
export function silenceMs(heartbeatMs: number): number {
  return heartbeatMs * MISSED_HEARTBEATS;
}

/**
 * The next whole lines of a stream; `cut` at its end; `silent`, and the stream is disposed of, when it has shown no sign of
 * life for {@linkcode silenceMs}, where heartbeats were asked for.
 *
 * @throws as {@linkcode LineStream.next} does
 */
export async function heardLines(
  stream: LineStream,
  heartbeatMs: number | undefined,
): Promise<Uint8Array | "cut" | "silent"> {
  if (heartbeatMs === undefined) return await stream.next() ?? "cut";
  let isSilent = false;
  const cancel = systemClock.after(silenceMs(heartbeatMs), () => {
    isSilent = true;
    stream[Symbol.dispose]();
  });
  try {
    return await stream.next() ?? (isSilent ? "silent" : "cut");
  } finally {
    cancel();
  }
}
