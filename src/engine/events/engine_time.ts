/**
 * The engine's time is in nanoseconds since the Unix epoch. As a double it is exact to 256 ns, which is finer than the
 * distance of two events of one container.
 */

/** Nanoseconds in a millisecond. */
export const NANO_PER_MS = 1e6;

/** The form that `since` and `until` take, `sec.nnnnnnnnn`. Docker answers RFC 3339 with status 500. */
export function formatEngineTime(timeNano: number): string {
  return formatExactEngineTime(BigInt(Math.max(0, Math.round(timeNano))));
}

/** Like {@linkcode formatEngineTime}, exact to the nanosecond. */
export function formatExactEngineTime(timeNano: bigint): string {
  return `${timeNano / 1_000_000_000n}.${String(timeNano % 1_000_000_000n).padStart(9, "0")}`;
}

/**
 * Parses RFC 3339 with up to nine decimals and any offset, as in `SystemTime` of `/info` and `StartedAt` of inspect.
 * `undefined` for invalid text, and for the engine's "never" (year 1).
 */
export function parseEngineTime(text: string): number | undefined {
  const timeNano = parseExactEngineTime(text);
  return timeNano === undefined ? undefined : Number(timeNano);
}

/** Like {@linkcode parseEngineTime}, exact to the nanosecond. */
export function parseExactEngineTime(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\d*(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return undefined;
  const [, seconds, fraction = "", zone] = match;
  const wholeMs = Date.parse(`${seconds}${zone}`);
  if (Number.isNaN(wholeMs) || wholeMs <= 0) return undefined;
  return BigInt(wholeMs) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}

/** RFC 3339 in UTC with nine decimals: the form of the timestamps in logs. */
export function formatLogTime(timeNano: bigint): string {
  const seconds = new Date(Number(timeNano / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(timeNano % 1_000_000_000n).padStart(9, "0")}Z`;
}
