import { assert, assertEquals, assertThrows } from "@std/assert";
import { EngineTime, formatNano, parseNano } from "../../../src/embedded_engine/spec/nano_time.ts";
import { formatLogTime } from "../../../src/engine/events/engine_time.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const FORMS: readonly (readonly [bigint, string, string])[] = [
  [0n, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000000Z"],
  [1n, "1970-01-01T00:00:00.000000001Z", "1970-01-01T00:00:00.000000001Z"],
  [1_767_225_600_120_000_000n, "2026-01-01T00:00:00.12Z", "2026-01-01T00:00:00.120000000Z"],
  [1_767_225_599_999_999_999n, "2025-12-31T23:59:59.999999999Z", "2025-12-31T23:59:59.999999999Z"],
];

for (const [nano, short, long] of FORMS) {
  Deno.test(`${nano} ns is ${short}`, () => {
    assertEquals(formatNano(nano), short);
    assertEquals(formatLogTime(nano), long);
  });
}

const TEXTS: readonly (readonly [string, bigint | string])[] = [
  ["0", 0n],
  ["1767225600", 1_767_225_600_000_000_000n],
  ["1.5", 1_500_000_000n],
  ["1.000000001", 1_000_000_001n],
  ["1.0000000019", 1_000_000_001n],
  ["-1", -1_000_000_000n],
  ["2026-01-01T00:00:00Z", `strconv.ParseInt: parsing "2026-01-01T00:00:00Z": invalid syntax`],
  ["abc", `strconv.ParseInt: parsing "abc": invalid syntax`],
  ["1.x", `strconv.ParseInt: parsing "x": invalid syntax`],
  ["", `strconv.ParseInt: parsing "": invalid syntax`],
];

for (const [text, expected] of TEXTS) {
  Deno.test(`parseNano(${JSON.stringify(text)}) ${typeof expected === "bigint" ? "is" : "throws"} ${expected}`, () => {
    if (typeof expected === "bigint") assertEquals(parseNano(text), expected);
    else assertThrows(() => parseNano(text), SyntaxError, expected);
  });
}

Deno.test("EngineTime increases with each call, even when the clock stops or is set back", () => {
  const clock = new FakeClock(1_000);
  const time = new EngineTime(clock);
  const seen = [time.next(), time.next()];
  clock.advance(-500);
  seen.push(time.next());
  clock.advance(1_000);
  seen.push(time.next());
  assertEquals(seen, [1_000_000_000n, 1_000_000_001n, 1_000_000_002n, 1_500_000_000n]);
  assert(seen.every((nano, index) => index === 0 || nano > seen[index - 1]!));
});
