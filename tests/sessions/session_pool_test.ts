import { assertEquals, assertRejects } from "@std/assert";
import { EngineError } from "../../src/engine/http/engine_error.ts";
import { silentLogger } from "../../src/platform/logger.ts";
import { SessionPool } from "../../src/sessions/session_pool.ts";
import { openStorage } from "../../src/storage/storage.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakeContainers } from "../support/sessions/fake_containers.ts";
import { TestClient } from "../support/sessions/test_client.ts";

Deno.test("SessionPool removes a container that appears after its session was given up, unless another instance created it", async (t) => {
  for (const isOwn of [true, false]) {
    await t.step(isOwn ? "its own container" : "another instance's container of the same name", async () => {
      const clock = new FakeClock();
      const engine = new FakeContainers();
      engine.owns = () => isOwn;
      using storage = openStorage({ path: ":memory:", clock, logger: silentLogger });
      const pool = new SessionPool({
        containers: engine.asContainers(),
        terminals: engine.terminals,
        store: storage.sessions,
        clock,
        logger: silentLogger,
        config: { image: "img", scrollbackLines: 10, killGraceMs: 1_000, restore: { kind: "screen" } },
      });
      engine.connect();
      await pool.ready();
      engine.failures.set("create", new EngineError("connection lost"));
      const client = new TestClient({ clock });
      await assertRejects(() => pool.attach({ name: "dev" }, client.client), EngineError, "connection lost");

      await engine.create({ image: "img", name: "apex-session-dev" });
      engine.deliver();
      await pool[Symbol.asyncDispose]();
      assertEquals(engine.containers.size, isOwn ? 0 : 1);
    });
  }
});
