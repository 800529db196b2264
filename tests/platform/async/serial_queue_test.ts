import { assertEquals, assertRejects } from "@std/assert";
import { SerialQueue } from "../../../src/platform/async/semaphore.ts";

Deno.test("SerialQueue.run() starts work at once when none is pending", async () => {
  const queue = new SerialQueue();
  const begun: number[] = [];
  const work = (number: number) => () => {
    begun.push(number);
    return Promise.resolve(number);
  };
  const first = queue.run(work(1));
  assertEquals(begun, [1]);
  const second = queue.run(work(2));
  assertEquals(begun, [1]);
  assertEquals(await Promise.all([first, second]), [1, 2]);
  const third = queue.run(work(3));
  assertEquals(begun, [1, 2, 3]);
  await third;
});

Deno.test("SerialQueue.run() starts work when the work before it has ended, failed or not", async () => {
  const queue = new SerialQueue();
  const first = Promise.withResolvers<void>();
  const log: string[] = [];
  const failing = queue.run(() => first.promise);
  const following = queue.run(() => {
    log.push("second");
    return Promise.resolve();
  });
  const last = queue.run(() => {
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

Deno.test("SerialQueue.run() keeps the order of work that is added while earlier work waits", async () => {
  const queue = new SerialQueue();
  const log: number[] = [];
  const work = (number: number) => async () => {
    await Promise.resolve();
    log.push(number);
  };
  const first = queue.run(work(1));
  const second = queue.run(work(2));
  // The first has ended, the second not yet.
  const third = first.then(() => queue.run(work(3)));
  await Promise.all([first, second, third]);
  assertEquals(log, [1, 2, 3]);
});
