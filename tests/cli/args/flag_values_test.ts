import { assertEquals, assertThrows } from "@std/assert";
import { pointInTime } from "../../../src/cli/args/flag_values.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";

const NOW_MS = Date.parse("2025-06-01T12:00:00Z");

const points: [text: string, time: Date][] = [
  ["10m", new Date(NOW_MS - 600_000)],
  ["1.5h", new Date(NOW_MS - 5_400_000)],
  ["1h30m", new Date(NOW_MS - 5_400_000)],
  ["10m ago", new Date(NOW_MS - 600_000)],
  ["10m  Ago", new Date(NOW_MS - 600_000)],
  ["3m 20s ago", new Date(NOW_MS - 200_000)],
  ["0s", new Date(NOW_MS)],
  ["now", new Date(NOW_MS)],
  [" 10m ", new Date(NOW_MS - 600_000)],
  ["99999d ago", new Date(0)],
  ["2025-01-31T12:00:00Z", new Date(Date.UTC(2025, 0, 31, 12))],
  ["2025-01-31T12:00:00.250+02:00", new Date(Date.UTC(2025, 0, 31, 10, 0, 0, 250))],
  ["2025-01-31T12:00:00+0200", new Date(Date.UTC(2025, 0, 31, 10))],
  ["2025-01-31 12:00-0030", new Date(Date.UTC(2025, 0, 31, 12, 30))],
  ["2025-01-31 12:30", new Date(2025, 0, 31, 12, 30)],
  ["2025-01-31T12:30:15", new Date(2025, 0, 31, 12, 30, 15)],
  ["2025-01-31", new Date(2025, 0, 31)],
  ["2025-01-31t12:00:00z", new Date(Date.UTC(2025, 0, 31, 12))],
  ["2024-02-29", new Date(2024, 1, 29)],
];

for (const [text, time] of points) {
  Deno.test(`pointInTime() reads ${text}, in local time if it has no zone`, () => {
    assertEquals(new Date(pointInTime("--since", text, NOW_MS)), time);
  });
}

const invalid = [
  "yesterday",
  "2025-13-01",
  "2025-02-30",
  "2025-01-31T25:00",
  "2025-01-31T12:00+02000",
  "2025-01-31+0200",
  "2025-01-31T12:00+9900",
  "12:00",
  "10 minutes ago",
  "10x ago",
  "ago",
  "1234567890",
  "99999999999999999999d",
  "-5m",
  "",
];

for (const text of invalid) {
  Deno.test(`pointInTime() rejects ${JSON.stringify(text)} and names the flag`, () => {
    assertThrows(
      () => pointInTime("--until", text, NOW_MS),
      ApexError,
      `--until: invalid time ${JSON.stringify(text)} (try: 10m ago, `,
    );
  });
}
