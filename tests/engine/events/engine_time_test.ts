import { assertEquals } from "@std/assert";
import { formatEngineTime, parseEngineTime } from "../../../src/engine/events/engine_time.ts";

const T = Date.UTC(2026, 0, 2, 3, 4, 5);

Deno.test("parseEngineTime() reads every form that engines write", () => {
  const cases: [string, number | undefined][] = [
    ["2026-01-02T03:04:05Z", T * 1e6],
    ["2026-01-02T03:04:05.5Z", (T + 500) * 1e6],
    ["2026-01-02T03:04:05.123456768Z", T * 1e6 + 123_456_768],
    ["2026-01-02T05:04:05.25+02:00", (T + 250) * 1e6],
    ["2026-01-01T21:34:05-05:30", T * 1e6],
    ["0001-01-01T00:00:00Z", undefined],
    ["yesterday", undefined],
    ["", undefined],
    ["2026-13-41T03:04:05Z", undefined],
  ];
  for (const [text, nano] of cases) assertEquals(parseEngineTime(text), nano, text);
});

Deno.test("formatEngineTime() writes seconds with nine decimals, never before the epoch", () => {
  assertEquals(formatEngineTime(T * 1e6), `${T / 1000}.000000000`);
  assertEquals(formatEngineTime(T * 1e6 + 256), `${T / 1000}.000000256`);
  assertEquals(formatEngineTime(0.4), "0.000000000");
  assertEquals(formatEngineTime(-5e9), "0.000000000");
});
