/** Times of the engine's API: nanoseconds since the Unix epoch, as `bigint`. */
import type { Clock } from "../../platform/clock.ts";

const NANO_PER_MS = 1_000_000n;
const NANO_PER_SECOND = 1_000_000_000n;

/** The API's word for "never". */
export const ZERO_TIME = "0001-01-01T00:00:00Z";

/**
 * The engine's time. It strictly increases, so that events sort by their times, and a follower that resumes at the time of
 * an event misses none. When the machine's clock is set back, the engine's time continues in steps of a nanosecond.
 */
export class EngineTime {
  readonly #clock: Clock;
  #last = 0n;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param stepNano the least distance to the time before */
  next(stepNano = 1n): bigint {
    const now = BigInt(Math.round(this.#clock.now())) * NANO_PER_MS;
    const earliest = this.#last + stepNano;
    this.#last = now > earliest ? now : earliest;
    return this.#last;
  }
}

/** RFC 3339 in UTC as Go prints it: up to nine digits after the point, without trailing zeros. */
export function formatNano(nano: bigint): string {
  const seconds = new Date(Number(nano / NANO_PER_MS)).toISOString().slice(0, 19);
  const fraction = String(nano % NANO_PER_SECOND).padStart(9, "0").replace(/0+$/, "");
  return fraction === "" ? `${seconds}Z` : `${seconds}.${fraction}Z`;
}

/**
 * Parses `sec[.nnnnnnnnn]`, the only form that Docker's server accepts for `since` and `until`.
 * @throws {SyntaxError} with Go's message for any other text, RFC 3339 included
 */
export function parseNano(text: string): bigint {
  const match = /^(-?\d{1,18})(?:\.(\d+))?$/.exec(text);
  if (match === null) {
    const part = /^-?\d+\./.test(text) ? text.slice(text.indexOf(".") + 1) : text;
    throw new SyntaxError(`strconv.ParseInt: parsing ${JSON.stringify(part)}: invalid syntax`);
  }
  return BigInt(match[1]!) * NANO_PER_SECOND + BigInt((match[2] ?? "").padEnd(9, "0").slice(0, 9));
}

export function nanoToSeconds(nano: bigint): number {
  return Number(nano / NANO_PER_SECOND);
}

export function nanoToMs(nano: bigint): number {
  return Number(nano / NANO_PER_MS);
}
