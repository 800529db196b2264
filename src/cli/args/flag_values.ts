/** Values of flags: numbers, durations, points in time. Every error names the flag and its value. */
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { parseDuration } from "../../platform/durations.ts";

/** Flags with a value, as written on the command line. */
export type TextFlags<Name extends string> = { readonly [N in Name]?: string | undefined };
/** Flags without a value. */
export type SwitchFlags<Name extends string> = { readonly [N in Name]?: true | undefined };

/**
 * Parses a value that must be greater than 0.
 *
 * @throws {ApexError} `usage`, with the flag in front of the message of `parse`
 */
export function positive(flag: string, text: string, parse: (text: string) => number): number {
  let value: number;
  try {
    value = parse(text);
  } catch (error) {
    throw new ApexError("usage", `${flag}: ${messageOf(error)}`, { cause: error });
  }
  if (value > 0) return value;
  throw new ApexError("usage", `${flag}: ${JSON.stringify(text)} must be greater than 0`);
}

/** For {@linkcode positive}: `2` or `0.5`. @throws {ApexError} `usage` */
export function decimal(text: string): number {
  if (/^\d+(\.\d+)?$|^\.\d+$/.test(text)) return Number(text);
  throw new ApexError("usage", `${JSON.stringify(text)} must be a positive number (try: 2 or 0.5)`);
}

/** For {@linkcode positive}. @throws {ApexError} `usage` */
export function wholeNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ApexError("usage", `${JSON.stringify(text)} must be a positive integer`);
}

/** The value of `--limit`. @throws {ApexError} `usage` */
export function limitOf(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new ApexError("usage", `--limit: ${JSON.stringify(text)} must be a positive integer`);
}

/**
 * A point in time: `10m ago` or `10m`, `now`, `2025-01-31`, or `2025-01-31T12:00:00Z`, also with an offset as in RFC 3339
 * or as `date +%z` prints it. A time without a zone is local.
 *
 * @returns milliseconds since the Unix epoch
 * @throws {ApexError} `usage`
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

/** `10m`, `10m ago`, and `3m 20s ago` as tables print it. */
const AGE = /^(\d[\d.]*[a-z].*?)(?:\s+ago)?$/i;

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

const DATE_AND_TIME = /^(\d{4}-\d\d-\d\d)([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?)?$/;

function dateMs(text: string): number | undefined {
  const date = DATE_AND_TIME.exec(text)?.[1];
  if (date === undefined) return undefined;
  // `Date.parse` reads a date without a time as midnight in UTC.
  const whole = text === date ? `${text}T00:00` : text.replace(/([+-]\d\d)(\d\d)$/, "$1:$2");
  const pointMs = Date.parse(whole.toUpperCase());
  return !Number.isNaN(pointMs) && isInCalendar(date) ? pointMs : undefined;
}

/** `Date` reads 30 February as 2 March. */
function isInCalendar(date: string): boolean {
  return new Date(`${date}T00:00Z`).toISOString().startsWith(date);
}
