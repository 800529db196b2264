import { ApexError } from "../platform/apex_error.ts";
import { parseDuration } from "../platform/durations.ts";
import { positive } from "./container_flags.ts";

const POINT_IN_TIME = /^(\d{4}-\d\d-\d\d)([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?)?$/;

/**
 * A point in time as people write it: `10m` ago, `2025-01-31`, `2025-01-31T12:00:00Z`, with
 * an offset as RFC 3339 has it or as `date +%z` prints it. Without a zone it is local time.
 *
 * @returns milliseconds since the Unix epoch
 * @throws {ApexError} `usage`, with the flag's name
 */
export function pointInTime(flag: string, text: string, nowMs: number): number {
  if (/^\d+(\.\d+)?[a-z]/i.test(text)) return Math.max(0, nowMs - positive(flag, text, parseDuration));
  const date = POINT_IN_TIME.exec(text)?.[1];
  // A date alone would be taken for midnight in UTC.
  const whole = text === date ? `${text}T00:00` : text.replace(/([+-]\d\d)(\d\d)$/, "$1:$2");
  const pointMs = Date.parse(whole.toUpperCase());
  if (date !== undefined && !Number.isNaN(pointMs) && isInCalendar(date)) return Math.max(0, pointMs);
  throw new ApexError(
    "usage",
    `${flag}: ${
      JSON.stringify(text)
    } is no point in time (try: 10m, 2025-01-31, 2025-01-31T12:00, 2025-01-31T12:00:00Z or 2025-01-31T12:00:00+01:00)`,
  );
}

/** `Date` takes 30 February for 2 March. */
function isInCalendar(date: string): boolean {
  return new Date(`${date}T00:00Z`).toISOString().startsWith(date);
}
