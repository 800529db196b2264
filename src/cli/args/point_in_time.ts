import { ApexError } from "../../platform/apex_error.ts";
import { parseDuration } from "../../platform/durations.ts";

const DATE_AND_TIME = /^(\d{4}-\d\d-\d\d)([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?)?$/;
/** `10m`, `10m ago`, and `3m 20s ago` as tables print it. */
const AGE = /^(\d[\d.]*[a-z].*?)(?:\s+ago)?$/i;

/**
 * A point in time: `10m ago` or `10m`, `now`, `2025-01-31`, `2025-01-31T12:00:00Z`, with an offset as in RFC 3339 or as
 * `date +%z` prints it. Without a zone it is local time.
 *
 * @returns milliseconds since the Unix epoch
 * @throws {ApexError} `usage`, with the flag's name
 */
export function pointInTime(flag: string, text: string, nowMs: number): number {
  const trimmed = text.trim();
  const pointMs = trimmed === "now" ? nowMs : agoMs(trimmed, nowMs) ?? dateMs(trimmed);
  if (pointMs !== undefined) return Math.max(0, pointMs);
  throw new ApexError(
    "usage",
    `${flag}: invalid time ${JSON.stringify(text)} ` +
      "(try: 10m ago, 2025-01-31, 2025-01-31T12:00, 2025-01-31T12:00:00Z or 2025-01-31T12:00:00+01:00)",
  );
}

function agoMs(text: string, nowMs: number): number | undefined {
  const age = AGE.exec(text)?.[1];
  if (age === undefined) return undefined;
  try {
    return nowMs - parseDuration(age.replaceAll(" ", ""));
  } catch (error) {
    if (error instanceof ApexError && error.code === "usage") return undefined;
    throw error;
  }
}

function dateMs(text: string): number | undefined {
  const date = DATE_AND_TIME.exec(text)?.[1];
  if (date === undefined) return undefined;
  // A date alone would be taken for midnight in UTC.
  const whole = text === date ? `${text}T00:00` : text.replace(/([+-]\d\d)(\d\d)$/, "$1:$2");
  const pointMs = Date.parse(whole.toUpperCase());
  return !Number.isNaN(pointMs) && isInCalendar(date) ? pointMs : undefined;
}

/** `Date` takes 30 February for 2 March. */
function isInCalendar(date: string): boolean {
  return new Date(`${date}T00:00Z`).toISOString().startsWith(date);
}
