import { assertEquals } from "@std/assert";
import { silentLogger } from "../../src/platform/logger.ts";
import { SessionReaper } from "../../src/sessions/session_reaper.ts";
import { SessionRegistry } from "../../src/sessions/session_registry.ts";
import { openStorage } from "../../src/storage/storage.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakeContainers } from "../support/sessions/fake_containers.ts";

Deno.test("isFinishing() is true while remove() removes a container, so that nothing else removes it", async () => {
  const engine = new FakeContainers();
  const clock = new FakeClock();
  using storage = openStorage({ path: ":memory:", clock, logger: silentLogger });
  const services = {
    containers: engine.asContainers(),
    terminals: engine.terminals,
    store: storage.sessions,
    clock,
    logger: silentLogger,
  };
  const registry = new SessionRegistry({
    ...services,
    scrollbackLines: 0,
    emit: () => {},
    onExpired: () => {},
  });
  const abort = new AbortController().signal;
  const reaper = new SessionReaper({ ...services, registry, killGraceMs: 0, abort, inBackground: () => {} });
  const { id } = await engine.create({ image: "img", tty: true });
  assertEquals(reaper.isFinishing(id), false);
  const removing = reaper.remove(id);
  assertEquals(reaper.isFinishing(id), true);
  await removing;
  assertEquals(reaper.isFinishing(id), false);
  assertEquals(engine.containers.size, 0);
});
