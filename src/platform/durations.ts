import { ApexError } from "./apex_error.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/**
 * Formats a duration in its two largest units: `350ms`, `12s`, `3m 20s`, `5h 1m`, `2d 3h`.
 * @param durationMs milliseconds; a negative value (clocks differ) counts as 0
 */
export function formatDuration(durationMs: number): string {
  const ms = Math.max(0, Math.floor(durationMs));
  if (ms < SECOND_MS) return `${ms}ms`;
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)}s`;
  if (ms < HOUR_MS) return twoUnits(ms, [MINUTE_MS, "m"], [SECOND_MS, "s"]);
  if (ms < DAY_MS) return twoUnits(ms, [HOUR_MS, "h"], [MINUTE_MS, "m"]);
  return twoUnits(ms, [DAY_MS, "d"], [HOUR_MS, "h"]);
}

/**
 * Parses a duration: `90s`, `1h30m`, `2d`, `500ms`, `1.5h`. The largest unit comes first, each at most once.
 * @returns whole milliseconds
 * @throws {ApexError} `usage`, naming the text
 */
export function parseDuration(text: string): number {
  const match = DURATION.exec(text);
  if (text === "" || match === null) throw invalid(text);
  const [, days, hours, minutes, seconds, milliseconds] = match;
  const ms = Math.round(
    Number(days ?? 0) * DAY_MS + Number(hours ?? 0) * HOUR_MS + Number(minutes ?? 0) * MINUTE_MS +
      Number(seconds ?? 0) * SECOND_MS + Number(milliseconds ?? 0),
  );
  if (!Number.isSafeInteger(ms)) throw invalid(text);
  return ms;
}

const NUMBER = String.raw`(\d+(?:\.\d+)?)`;
const DURATION = new RegExp(`^(?:${NUMBER}d)?(?:${NUMBER}h)?(?:${NUMBER}m)?(?:${NUMBER}s)?(?:${NUMBER}ms)?$`);

function invalid(text: string): ApexError {
  return new ApexError("usage", `invalid duration ${JSON.stringify(text)} (try: 90s, 1h30m or 2d)`);
}

type Unit = readonly [lengthMs: number, name: string];

function twoUnits(ms: number, [largeMs, large]: Unit, [smallMs, small]: Unit): string {
  const rest = Math.floor((ms % largeMs) / smallMs);
  return `${Math.floor(ms / largeMs)}${large}${rest > 0 ? ` ${rest}${small}` : ""}`;
}
