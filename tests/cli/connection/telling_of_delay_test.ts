import { assertEquals, assertRejects } from "@std/assert";
import { tellingOfDelay } from "../../../src/cli/connection/telling_of_delay.ts";

Deno.test("tellingOfDelay() tells once of work that takes longer, and passes on what it gives", async () => {
  const work = Promise.withResolvers<number>();
  let told = 0;
  const telling = tellingOfDelay(work.promise, {
    afterMs: 1,
    tell: () => {
      told++;
      // Only now: the work would never end if nobody were told.
      work.resolve(7);
      return Promise.resolve();
    },
  });
  assertEquals(await telling, 7);
  assertEquals(told, 1);
});

Deno.test("tellingOfDelay() says nothing of work that is quick, or fails quickly", async () => {
  const options = {
    afterMs: 60_000,
    tell: () => Promise.reject(new Error("told")),
  };
  assertEquals(await tellingOfDelay(Promise.resolve(1), options), 1);
  await assertRejects(() => tellingOfDelay(Promise.reject(new Error("failed")), options), Error, "failed");
});
