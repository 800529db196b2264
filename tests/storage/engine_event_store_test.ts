import { assertEquals } from "@std/assert";
import { silentLogger } from "../../src/platform/logger.ts";
import { openStorage, type Storage } from "../../src/storage/storage.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TempDir } from "../support/temp_dir.ts";

/** A realistic time: larger than the integers of SQLite's binding. */
const T0 = 1.8e18;
const SECOND = 1e9;

const open = (path: string): Storage => openStorage({ path, clock: new FakeClock(), logger: silentLogger });
const event = (timeNano: number, action = "die", containerId = "c1") => ({ timeNano, containerId, action });

Deno.test("EngineEventStore remembers the last seconds of each engine across a restart, each event once", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  {
    using storage = open(path);
    assertEquals(storage.engineEvents.recent("E"), []);
    storage.engineEvents.note("E", event(T0 + 2 * SECOND));
    storage.engineEvents.note("E", event(T0 + SECOND, "kill"));
    storage.engineEvents.note("E", event(T0 + SECOND, "kill"));
    storage.engineEvents.note("E", event(T0 + SECOND, "kill", "c2"));
    storage.engineEvents.note("F", event(T0));
  }
  using storage = open(path);
  assertEquals(storage.engineEvents.recent("E"), [
    event(T0 + SECOND, "kill"),
    event(T0 + SECOND, "kill", "c2"),
    event(T0 + 2 * SECOND),
  ]);
  assertEquals(storage.engineEvents.recent("F"), [event(T0)]);
  // Events of that age cannot come again.
  storage.engineEvents.note("E", event(T0 + 9.5 * SECOND));
  assertEquals(storage.engineEvents.recent("E").map(({ timeNano }) => timeNano - T0), [
    2 * SECOND,
    9.5 * SECOND,
  ]);
});

Deno.test("EngineEventStore keeps only the events that an engine can repeat", () => {
  using storage = open(":memory:");
  for (let n = 0; n < 5_000; n++) {
    storage.engineEvents.note("E", event(T0 + n * SECOND / 100));
    if (n % 50 === 0) storage.flush();
  }
  assertEquals(storage.engineEvents.recent("E").length, 801);
});
