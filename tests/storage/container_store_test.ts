import { assertEquals } from "@std/assert";
import { silentLogger } from "../../src/platform/logger.ts";
import type { StoredContainer } from "../../src/storage/container_store.ts";
import { openStorage, type Storage } from "../../src/storage/storage.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TempDir } from "../support/temp_dir.ts";

/** A realistic time. */
const T0 = 1.8e18;

const open = (path: string, nowMs = 0): Storage =>
  openStorage({ path, clock: new FakeClock(nowMs), logger: silentLogger });

const FULL: StoredContainer = {
  id: "c1",
  name: "web",
  image: "busybox:local",
  labels: { "apex.task-id": "t1" },
  state: "exited",
  health: "healthy",
  exitCode: 3,
  createdAtNano: T0,
  startedAtNano: T0 + 256,
  finishedAtNano: T0 + 512,
  details: { stateWasSeen: true },
};
const BARE: StoredContainer = { id: "c2", name: "b", image: "i", labels: {}, state: "created", details: {} };

Deno.test("ContainerStore keeps every field of a container across a restart, in the order of first saving", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  {
    using storage = open(path);
    const { containers } = storage;
    assertEquals(containers.engine("E"), undefined);
    containers.follow({ engineId: "E", baselineNano: T0 }, { isNew: true });
    containers.save("c2", () => BARE);
    containers.save("c1", () => FULL);
    containers.save("c3", () => ({ ...BARE, id: "c3" }));
    storage.flush();
    containers.save("c2", () => ({ ...BARE, name: "renamed" }));
    containers.remove("c3");
  }
  using storage = open(path);
  assertEquals(storage.containers.engine("E"), { engineId: "E", baselineNano: T0 });
  assertEquals(storage.containers.ofEngine("E"), [{ ...BARE, name: "renamed" }, FULL]);
});

Deno.test("ContainerStore writes the state that a container has when it is committed", async () => {
  await using dir = await TempDir.make();
  using storage = open(dir.join("apex.db"));
  let state = "created";
  storage.containers.follow({ engineId: "E", baselineNano: T0 }, { isNew: true });
  storage.containers.save("c2", () => ({ ...BARE, state }));
  state = "running";
  assertEquals(storage.containers.ofEngine("E").map((row) => row.state), ["running"]);
});

Deno.test("ContainerStore separates engines, and forgets the one that was followed longest ago", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  for (let index = 0; index < 9; index++) {
    using storage = open(path, index);
    storage.containers.follow({ engineId: `E${index}`, baselineNano: T0 }, { isNew: true });
    storage.containers.save("c2", () => BARE);
  }
  using storage = open(path);
  assertEquals([storage.containers.engine("E0"), storage.containers.ofEngine("E0")], [undefined, []]);
  assertEquals(storage.containers.ofEngine("E1"), [BARE]);
  assertEquals(storage.containers.ofEngine("E8"), [BARE]);
});

Deno.test("ContainerStore .follow() deletes the rows of an engine that is new", async () => {
  await using dir = await TempDir.make();
  using storage = open(dir.join("apex.db"));
  storage.containers.follow({ engineId: "E", baselineNano: T0 }, { isNew: true });
  storage.containers.save("c1", () => FULL);
  storage.flush();
  storage.containers.follow({ engineId: "E", baselineNano: T0 + 1e9 }, { isNew: true });
  storage.containers.save("c2", () => BARE);
  assertEquals(storage.containers.engine("E")?.baselineNano, T0 + 1e9);
  assertEquals(storage.containers.ofEngine("E"), [BARE]);
});
