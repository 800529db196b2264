import { assertEquals, assertRejects } from "@std/assert";
import { Milestone } from "../../../src/platform/async/milestone.ts";

Deno.test("Milestone tells everybody who waits, and those who come later, of the first value", async () => {
  const milestone = new Milestone<number>();
  const { signal } = new AbortController();
  const early = milestone.until(signal);
  milestone.reach(1);
  milestone.reach(2);
  assertEquals(await Promise.all([early, milestone.promise, milestone.until(signal)]), [1, 1, 1]);
  assertEquals(milestone.waiting, 0);
});

Deno.test("Milestone keeps nothing of those who gave up waiting", async () => {
  const milestone = new Milestone<number>();
  const abort = new AbortController();
  const waiting = Array.from(
    { length: 100 },
    () => assertRejects(() => milestone.until(abort.signal), Error, "enough"),
  );
  assertEquals(milestone.waiting, 100);
  abort.abort(new Error("enough"));
  await Promise.all(waiting);
  assertEquals(milestone.waiting, 0);
  await assertRejects(() => milestone.until(abort.signal), Error, "enough");
});
