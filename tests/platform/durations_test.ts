import { assertEquals } from "@std/assert";
import { formatDuration } from "../../src/platform/durations.ts";

const cases: [ms: number, text: string][] = [
  [-5, "0ms"],
  [0, "0ms"],
  [350.7, "350ms"],
  [1_000, "1s"],
  [59_999, "59s"],
  [60_000, "1m"],
  [200_000, "3m 20s"],
  [3_600_000, "1h"],
  [18_060_000, "5h 1m"],
  [86_400_000, "1d"],
  [183_600_000, "2d 3h"],
  [86_400_000 * 400, "400d"],
];

for (const [ms, text] of cases) {
  Deno.test(`formatDuration(${ms}) is ${text}`, () => assertEquals(formatDuration(ms), text));
}
