import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  abortableDelay,
  delayUnlessAborted,
  notifyIfSlow,
  settlesWithin,
} from "../../../src/platform/async/wait.ts";
import { FakeClock } from "../../support/fake_clock.ts";

Deno.test("abortableDelay() resolves after its time, and rejects with the reason when it is aborted", async () => {
  const clock = new FakeClock();
  const { signal } = new AbortController();
  const delay = abortableDelay(100, { clock, abort: signal });
  clock.advance(100);
  await delay;

  const abort = new AbortController();
  const aborted = abortableDelay(100, { clock, abort: abort.signal });
  abort.abort(new Error("enough"));
  await assertRejects(() => aborted, Error, "enough");
  await assertRejects(() => abortableDelay(100, { clock, abort: abort.signal }), Error, "enough");
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("delayUnlessAborted() is true after its time, and false when it is aborted", async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const delay = delayUnlessAborted(100, { clock, abort: abort.signal });
  clock.advance(100);
  assert(await delay);

  const aborted = delayUnlessAborted(100, { clock, abort: abort.signal });
  abort.abort();
  assert(!await aborted);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("settlesWithin() is true in time, false when the time is up or it is aborted, and throws a failure", async () => {
  const clock = new FakeClock();
  const never = new Promise<never>(() => {});
  const abort = new AbortController();
  assert(await settlesWithin(Promise.resolve(), { timeoutMs: 100, clock, abort: abort.signal }));

  const late = settlesWithin(never, { timeoutMs: 100, clock });
  clock.advance(100);
  assert(!await late);

  const failure = Promise.reject(new Error("failed"));
  await assertRejects(() => settlesWithin(failure, { timeoutMs: 100, clock }), Error, "failed");

  const aborted = settlesWithin(never, { timeoutMs: 100, clock, abort: abort.signal });
  abort.abort();
  assert(!await aborted);
  assert(!await settlesWithin(never, { abort: abort.signal }));
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("notifyIfSlow() notifies once of slow work, and returns its result", async () => {
  const work = Promise.withResolvers<number>();
  let notices = 0;
  const result = notifyIfSlow(work.promise, {
    afterMs: 1,
    notify: () => {
      notices++;
      // Only now: the test fails by hanging when `notify` is not called.
      work.resolve(7);
      return Promise.resolve();
    },
  });
  assertEquals(await result, 7);
  assertEquals(notices, 1);
});

Deno.test("notifyIfSlow() does not notify of work that ends or fails quickly", async () => {
  const options = { afterMs: 60_000, notify: () => Promise.reject(new Error("notified")) };
  assertEquals(await notifyIfSlow(Promise.resolve(1), options), 1);
  await assertRejects(() => notifyIfSlow(Promise.reject(new Error("failed")), options), Error, "failed");
});
