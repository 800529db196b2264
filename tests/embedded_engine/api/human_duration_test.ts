import { assertEquals } from "@std/assert";
import { humanDuration } from "../../../src/embedded_engine/api/container_view.ts";

const [SECOND, MINUTE, HOUR, DAY] = [1_000, 60_000, 3_600_000, 86_400_000];

/** The forms of Docker's package go-units. */
const DURATIONS: readonly (readonly [number, string])[] = [
  [0, "Less than a second"],
  [999, "Less than a second"],
  [SECOND, "1 second"],
  [59 * SECOND, "59 seconds"],
  [MINUTE, "About a minute"],
  [2 * MINUTE - 1, "About a minute"],
  [2 * MINUTE, "2 minutes"],
  [59 * MINUTE, "59 minutes"],
  [HOUR, "About an hour"],
  [89 * MINUTE, "About an hour"],
  [90 * MINUTE, "2 hours"],
  [47 * HOUR, "47 hours"],
  [2 * DAY, "2 days"],
  [13 * DAY, "13 days"],
  [14 * DAY, "2 weeks"],
  [60 * DAY, "2 months"],
  [800 * DAY, "2 years"],
];

for (const [ms, text] of DURATIONS) {
  Deno.test(`humanDuration(${ms}) is "${text}"`, () => assertEquals(humanDuration(ms), text));
}
