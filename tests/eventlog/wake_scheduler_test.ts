import { assertEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { memoryLog } from "../support/daemons/journaled_log.ts";
import { eventOf } from "../support/daemons/wire_events.ts";
import { FakeClock } from "../support/fake_clock.ts";

Deno.test("WakeScheduler wakes 128 subscribers in each turn, in order, even when none of their writes completes", async () => {
  await using log = memoryLog({ clock: new FakeClock() });
  const started: number[] = [];
  const stalled = Promise.withResolvers<number>();
  for (let n = 0; n < 300; n++) {
    const write = (): Promise<number> => {
      started.push(n);
      return stalled.promise;
    };
    log.subscribe({ connection: { write, close: () => {} } });
  }
  log.append(eventOf("one"));
  // The commit is a microtask.
  await Promise.resolve();
  const seen = [started.length];
  for (let turn = 0; turn < 3; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    seen.push(started.length);
  }
  assertEquals(seen, [128, 256, 300, 300]);
  assertEquals(started, Array.from({ length: 300 }, (_, n) => n));
  stalled.reject(new Deno.errors.BrokenPipe("the test is over"));
});
