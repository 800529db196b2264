/**
 * The engine's time is nanoseconds since the Unix epoch, kept as a double: exact to 256 ns today, which is finer than
 * two events of one container can be apart.
 */

/** Nanoseconds in a millisecond. */
export const NANO_PER_MS = 1e6;

/** As `since` and `until` want it, `sec.nnnnnnnnn`; Docker answers RFC 3339 with a 500. */
export function formatEngineTime(timeNano: number): string {
  return formatExactEngineTime(BigInt(Math.max(0, Math.round(timeNano))));
}

/** The same, to the nanosecond. */
export function formatExactEngineTime(timeNano: bigint): string {
  return `${timeNano / 1_000_000_000n}.${String(timeNano % 1_000_000_000n).padStart(9, "0")}`;
}

/**
 * Reads RFC 3339 with up to nine decimals and any offset, as in `SystemTime` of `/info` and `StartedAt` of inspect.
 * `undefined` for what is not a time, and for the engine's "never" (year 1).
 */
export function parseEngineTime(text: string): number | undefined {
  const timeNano = parseExactEngineTime(text);
  return timeNano === undefined ? undefined : Number(timeNano);
}

/** The same, to the nanosecond. */
export function parseExactEngineTime(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\d*(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return undefined;
  const [, seconds, fraction = "", zone] = match;
  const wholeMs = Date.parse(`${seconds}${zone}`);
  if (Number.isNaN(wholeMs) || wholeMs <= 0) return undefined;
  return BigInt(wholeMs) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}

/** RFC 3339 in UTC with nine decimals: the form that engines write before lines of a log. */
export function formatLogTime(timeNano: bigint): string {
  const seconds = new Date(Number(timeNano / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(timeNano % 1_000_000_000n).padStart(9, "0")}Z`;
}
