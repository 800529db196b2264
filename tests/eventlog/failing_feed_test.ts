import { assertEquals, assertMatch } from "@std/assert";
import { silentLogger } from "../../src/platform/logger.ts";
import { EventFilter } from "../../src/storage/journal/event_filter.ts";
import { memoryLog, settled } from "../support/daemons/journaled_log.ts";
import { StreamTaker } from "../support/daemons/stream_taker.ts";
import { eventOf } from "../support/daemons/wire_events.ts";
import { FakeClock } from "../support/fake_clock.ts";

/** A defect in the code that creates a subscriber's stream. */
class BrokenFilter extends EventFilter {
  override matches(): boolean {
    throw new TypeError("broken");
  }
}

Deno.test("EventLog closes a subscriber whose feed throws, logs the error, and serves the others", async () => {
  const errors: string[] = [];
  const logger = { ...silentLogger, error: (message: string) => void errors.push(message) };
  await using log = memoryLog({ clock: new FakeClock(), logger });
  const [broken, other] = [new StreamTaker(), new StreamTaker()];
  const closed: unknown[] = [];
  log.subscribeResumable({
    connection: broken,
    filter: new BrokenFilter({}),
    onClose: (reason, error) => void closed.push(reason, error),
    onReleased: () => void closed.push("released"),
  });
  log.subscribeResumable({ connection: other });
  for (const text of ["one", "two"]) {
    log.append(eventOf(text));
    await settled();
  }
  assertEquals([closed[0], closed[2], broken.isClosed], ["closed", "released", true]);
  assertMatch(String(closed[1]), /broken/);
  assertEquals(errors.length, 1);
  assertMatch(errors[0]!, /disconnected a subscriber.*broken/);
  assertEquals([other.seqs, log.stats().subscribers], [[1, 2], 1]);
});
