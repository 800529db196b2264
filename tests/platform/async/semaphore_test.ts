import { assertEquals, assertThrows } from "@std/assert";
import { Semaphore } from "../../../src/platform/async/semaphore.ts";

Deno.test("Semaphore grants its limit at once, and then in the order of the requests", () => {
  const semaphore = new Semaphore(2);
  const granted: string[] = [];
  const permits = ["a", "b", "c", "d", "e"].map((name) => semaphore.acquire(() => void granted.push(name)));
  assertEquals(permits.map(({ ahead }) => ahead), [0, 0, 1, 2, 3]);
  assertEquals(granted, ["a", "b"]);
  permits[3]?.release();
  permits[1]?.release();
  assertEquals(granted, ["a", "b", "c"]);
  permits[1]?.release();
  assertEquals(granted, ["a", "b", "c"], "a permit is released once");
  permits[0]?.release();
  assertEquals(granted, ["a", "b", "c", "e"]);
});

Deno.test("acquireBeyondLimit() grants at once, and delays the requests that follow", () => {
  const semaphore = new Semaphore(1);
  const [first, second] = [semaphore.acquireBeyondLimit(), semaphore.acquireBeyondLimit()];
  let granted = 0;
  assertEquals(semaphore.acquire(() => void granted++).ahead, 1);
  first.release();
  assertEquals(granted, 0);
  second.release();
  assertEquals(granted, 1);
});

Deno.test("run() releases its permit when the work fails", async () => {
  const semaphore = new Semaphore(1);
  const failed = semaphore.run(() => Promise.reject(new Error("no")));
  const next = semaphore.run(() => Promise.resolve("yes"));
  assertEquals(await failed.catch((error) => error.message), "no");
  assertEquals(await next, "yes");
});

Deno.test("Semaphore accepts Infinity, and throws when its limit is not a positive integer", () => {
  const semaphore = new Semaphore(Infinity);
  const aheads = Array.from({ length: 100 }, () => semaphore.acquire(() => {}).ahead);
  assertEquals(new Set(aheads), new Set([0]));
  for (const limit of [0, -1, 1.5, NaN]) assertThrows(() => new Semaphore(limit), RangeError);
});
