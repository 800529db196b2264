import { assertEquals } from "@std/assert";
import { Backoff } from "../../../src/platform/async/backoff.ts";

Deno.test("Backoff doubles up to its limit, and starts over after reset()", () => {
  const backoff = new Backoff({ firstMs: 100, maxMs: 1_000, random: () => 1 });
  const waits = Array.from({ length: 6 }, () => backoff.next());
  assertEquals(waits, [100, 200, 400, 800, 1_000, 1_000]);
  backoff.reset();
  assertEquals(backoff.next(), 100);
});

Deno.test("Backoff returns between half and all of each step", () => {
  let x = 0;
  const backoff = new Backoff({ firstMs: 100, maxMs: 1_000, random: () => x });
  assertEquals(backoff.next(), 50);
  x = 0.5;
  assertEquals(backoff.next(), 150);
});
