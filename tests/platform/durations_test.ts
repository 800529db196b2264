import { assertEquals, assertThrows } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import { formatDuration, parseDuration } from "../../src/platform/durations.ts";

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

const lengths: [text: string, ms: number][] = [
  ["0s", 0],
  ["500ms", 500],
  ["90s", 90_000],
  ["10m", 600_000],
  ["1h30m", 5_400_000],
  ["1.5h", 5_400_000],
  ["1.1s", 1_100],
  ["2d", 172_800_000],
  ["1d2h3m4s5ms", 93_784_005],
];

for (const [text, ms] of lengths) {
  Deno.test(`parseDuration("${text}") is ${ms}`, () => assertEquals(parseDuration(text), ms));
}

for (
  const text of [
    "",
    "10",
    "12x",
    "1h1h",
    "30m1h",
    "-5s",
    "1 h",
    " 1h",
    "h",
    "1.s",
    "1H",
    "1e3s",
    "99999999999999d",
  ]
) {
  Deno.test(`parseDuration("${text}") is an error that names it`, () => {
    const error = assertThrows(
      () => parseDuration(text),
      ApexError,
      `invalid duration ${JSON.stringify(text)}`,
    );
    assertEquals(error.code, "usage");
  });
}
