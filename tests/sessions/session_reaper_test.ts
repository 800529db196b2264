import { assertEquals } from "@std/assert";
import { silentLogger } from "../../src/platform/logger.ts";
import { SessionReaper } from "../../src/sessions/session_reaper.ts";
import { openStorage } from "../../src/storage/storage.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakeContainers } from "../support/sessions/fake_containers.ts";

Deno.test("SessionReaper says of what it removes that it is taken care of, so that nobody else removes it too", async () => {
  const containers = new FakeContainers();
  const clock = new FakeClock();
  using storage = openStorage({ path: ":memory:", clock, logger: silentLogger });
  const reaper = new SessionReaper({
    containers,
    store: storage.sessions,
    clock,
    logger: silentLogger,
    killGraceMs: 0,
    signal: new AbortController().signal,
    onFoundEnded: () => {},
  });
  const { id } = await containers.create({ image: "img", tty: true });
  assertEquals(reaper.isFinishing(id), false);
  const removing = reaper.remove(id);
  assertEquals(reaper.isFinishing(id), true);
  await removing;
  assertEquals(reaper.isFinishing(id), false);
  assertEquals(containers.containers.size, 0);
});
