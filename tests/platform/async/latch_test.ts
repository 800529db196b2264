import { assertEquals, assertRejects } from "@std/assert";
import { Latch } from "../../../src/platform/async/latch.ts";

Deno.test("Latch gives the first value to every caller, those that wait later included", async () => {
  const latch = new Latch<number>();
  const { signal } = new AbortController();
  const early = latch.until(signal);
  latch.open(1);
  latch.open(2);
  assertEquals(await Promise.all([early, latch.promise, latch.until(signal)]), [1, 1, 1]);
  assertEquals(latch.waiting, 0);
});

Deno.test("Latch.until() leaves nothing behind when it is aborted", async () => {
  const latch = new Latch<number>();
  const abort = new AbortController();
  const waiting = Array.from(
    { length: 100 },
    () => assertRejects(() => latch.until(abort.signal), Error, "enough"),
  );
  assertEquals(latch.waiting, 100);
  abort.abort(new Error("enough"));
  await Promise.all(waiting);
  assertEquals(latch.waiting, 0);
  await assertRejects(() => latch.until(abort.signal), Error, "enough");
});
