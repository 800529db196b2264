import { assertEquals, assertRejects } from "@std/assert";
import { InOrder } from "../../../src/platform/async/in_order.ts";

Deno.test("InOrder.run() begins at once what finds nothing before it", async () => {
  const inOrder = new InOrder();
  const begun: number[] = [];
  const work = (number: number) => () => {
    begun.push(number);
    return Promise.resolve(number);
  };
  const first = inOrder.run(work(1));
  assertEquals(begun, [1]);
  const second = inOrder.run(work(2));
  assertEquals(begun, [1]);
  assertEquals(await Promise.all([first, second]), [1, 2]);
  const third = inOrder.run(work(3));
  assertEquals(begun, [1, 2, 3]);
  await third;
});

Deno.test("InOrder.run() begins each when the one before it has ended, also by a failure", async () => {
  const inOrder = new InOrder();
  const first = Promise.withResolvers<void>();
  const log: string[] = [];
  const failing = inOrder.run(() => first.promise);
  const following = inOrder.run(() => {
    log.push("second");
    return Promise.resolve();
  });
  const last = inOrder.run(() => {
    log.push("third");
    return Promise.resolve();
  });
  await Promise.resolve();
  assertEquals(log, []);
  first.reject(new Error("broke"));
  await assertRejects(() => failing, Error, "broke");
  await Promise.all([following, last]);
  assertEquals(log, ["second", "third"]);
});

Deno.test("InOrder.run() lets nothing overtake what still waits", async () => {
  const inOrder = new InOrder();
  const log: number[] = [];
  const work = (number: number) => async () => {
    await Promise.resolve();
    log.push(number);
  };
  const first = inOrder.run(work(1));
  const second = inOrder.run(work(2));
  // The first has ended, the second not yet.
  const third = first.then(() => inOrder.run(work(3)));
  await Promise.all([first, second, third]);
  assertEquals(log, [1, 2, 3]);
});
