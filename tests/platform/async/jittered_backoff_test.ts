import { assertEquals } from "@std/assert";
import { JitteredBackoff } from "../../../src/platform/async/jittered_backoff.ts";

Deno.test("JitteredBackoff doubles up to its limit, and begins again after reset()", () => {
  const backoff = new JitteredBackoff({ firstMs: 100, maxMs: 1_000, random: () => 1 });
  const waits = Array.from({ length: 6 }, () => backoff.next());
  assertEquals(waits, [100, 200, 400, 800, 1_000, 1_000]);
  backoff.reset();
  assertEquals(backoff.next(), 100);
});

Deno.test("JitteredBackoff waits between half and all of each step", () => {
  let x = 0;
  const backoff = new JitteredBackoff({ firstMs: 100, maxMs: 1_000, random: () => x });
  assertEquals(backoff.next(), 50);
  x = 0.5;
  assertEquals(backoff.next(), 150);
});
