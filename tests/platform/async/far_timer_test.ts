import { assertEquals } from "@std/assert";
import { atTime } from "../../../src/platform/async/far_timer.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const DAY_MS = 86_400_000;

Deno.test("atTime() runs once at its time, months ahead too, and never with a delay that the runtime refuses", () => {
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
  atTime(clock.now() + 60 * DAY_MS, { clock: watched, callback: () => runs++ });
  clock.advance(60 * DAY_MS - 1);
  assertEquals(runs, 0);
  clock.advance(1);
  assertEquals(runs, 1);
  assertEquals(Math.max(...delays), 2 ** 31 - 1);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("atTime() runs at once when the time is past, and not after it was cancelled", () => {
  const clock = new FakeClock();
  let runs = 0;
  atTime(clock.now() - 1, { clock, callback: () => runs++ });
  clock.advance(0);
  assertEquals(runs, 1);
  const cancel = atTime(clock.now() + 60 * DAY_MS, { clock, callback: () => runs++ });
  clock.advance(40 * DAY_MS);
  cancel();
  clock.advance(40 * DAY_MS);
  assertEquals([runs, clock.pendingTimers], [1, 0]);
});
