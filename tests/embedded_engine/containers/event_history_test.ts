/** The embedded engine's events and their times. */
import { assertEquals } from "@std/assert";
import { type EngineMessage, EventHistory } from "../../../src/embedded_engine/containers/event_history.ts";
import { EngineTime } from "../../../src/embedded_engine/spec/nano_time.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const KILL: EngineMessage = {
  status: "kill",
  id: "web",
  from: "busybox:local",
  Type: "container",
  Action: "kill",
  Actor: { ID: "web", Attributes: {} },
  scope: "local",
};

Deno.test("events of one millisecond have different times, even when a client reads them as doubles", () => {
  const clock = new FakeClock();
  const time = new EngineTime(clock);
  const history = new EventHistory(time);
  const nanos: bigint[] = [];
  for (let i = 0; i < 1_500; i++) {
    nanos.push(history.publish(KILL));
    time.next(); // A line of a log.
    if (i === 500) clock.advance(1);
  }
  assertEquals(new Set(nanos.map(Number)).size, nanos.length);
  assertEquals(nanos.toSorted((a, b) => a < b ? -1 : 1), nanos);
});
