import { assert, assertEquals } from "@std/assert";
import type { EngineEvent } from "../../../src/engine/events/event_stream.ts";
import { RecentEvents } from "../../../src/engine/events/follow_memory.ts";

const event = (timeNano: number, action = "die", id = "a"): EngineEvent => ({
  type: "container",
  action,
  id,
  attributes: {},
  timeNano,
});

Deno.test("RecentEvents.add() recognises repeats by time, action and container", () => {
  const recent = new RecentEvents({ windowNano: 1_000, maxEvents: 100 });
  assert(recent.add(event(5_000)));
  assertEquals(recent.add(event(5_000)), false);
  assert(recent.add(event(5_000, "stop")));
  assert(recent.add(event(5_000, "die", "b")));
  assert(recent.add(event(5_001)));
});

Deno.test("RecentEvents remembers at least one window", () => {
  for (const step of [7, 50, 333, 999, 1_000, 1_001, 5_000]) {
    const recent = new RecentEvents({ windowNano: 1_000, maxEvents: 10_000 });
    const times: number[] = [];
    for (let time = 10_000; time < 20_000; time += step) {
      recent.add(event(time));
      times.push(time);
      const replayed = times.filter((past) => past >= time - 1_000);
      for (const past of replayed) {
        assertEquals(recent.add(event(past)), false, `step ${step}: ${past} at ${time}`);
      }
    }
  }
});

Deno.test("RecentEvents forgets events older than two windows", () => {
  const recent = new RecentEvents({ windowNano: 1_000, maxEvents: 100 });
  recent.add(event(1_000));
  recent.add(event(3_500));
  recent.add(event(6_000));
  assert(recent.add(event(1_000)));
});

Deno.test("RecentEvents keeps a bounded number of events, the newest", () => {
  const recent = new RecentEvents({ windowNano: 1e12, maxEvents: 10 });
  for (let i = 0; i < 100; i++) recent.add(event(i));
  for (let i = 95; i < 100; i++) assertEquals(recent.add(event(i)), false);
  assert(recent.add(event(80)));
});

Deno.test("RecentEvents.clear() forgets all events", () => {
  const recent = new RecentEvents({ windowNano: 1_000, maxEvents: 100 });
  recent.add(event(5_000));
  recent.clear();
  assert(recent.add(event(5_000)));
});
