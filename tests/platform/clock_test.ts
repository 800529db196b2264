import { assertEquals } from "@std/assert";
import { runAt } from "../../src/platform/clock.ts";
import { FakeClock } from "../support/fake_clock.ts";

const DAY_MS = 86_400_000;

Deno.test("runAt() runs once, months ahead too, and sets no timer with a delay beyond the maximum of the runtime", () => {
  const clock = new FakeClock();
  const delays: number[] = [];
  const watched = {
    now: () => clock.now(),
    after: (delayMs: number, callback: () => void) => {
      delays.push(delayMs);
      return clock.after(delayMs, callback);
    },
  };
  let runs = 0;
  runAt(clock.now() + 60 * DAY_MS, { clock: watched, callback: () => runs++ });
  clock.advance(60 * DAY_MS - 1);
  assertEquals(runs, 0);
  clock.advance(1);
  assertEquals(runs, 1);
  assertEquals(Math.max(...delays), 2 ** 31 - 1);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("runAt() runs at once when the time is past, and not after it is cancelled", () => {
  const clock = new FakeClock();
  let runs = 0;
  runAt(clock.now() - 1, { clock, callback: () => runs++ });
  clock.advance(0);
  assertEquals(runs, 1);
  const cancel = runAt(clock.now() + 60 * DAY_MS, { clock, callback: () => runs++ });
  clock.advance(40 * DAY_MS);
  cancel();
  clock.advance(40 * DAY_MS);
  assertEquals([runs, clock.pendingTimers], [1, 0]);
});
