import { parseDuration } from "../platform/durations.ts";
import { positive } from "./container_flags.ts";

const POINT_IN_TIME = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/;

/**
 * A point in time as people write it: `10m` ago, `2025-01-31`, `2025-01-31T12:00:00Z`. Without a zone it is local time.
 *
 * @returns milliseconds since the Unix epoch
 * @throws {ApexError} `usage`, with the flag's name
 */
export function pointInTime(flag: string, text: string, nowMs: number): number {
  // A date alone would be taken for midnight in UTC.
  const withTime = text.length === "2025-01-31".length ? `${text}T00:00` : text;
  const pointMs = POINT_IN_TIME.test(text) ? Date.parse(withTime) : NaN;
  if (!Number.isNaN(pointMs)) return Math.max(0, pointMs);
  return Math.max(0, nowMs - positive(flag, text, parseDuration));
}
