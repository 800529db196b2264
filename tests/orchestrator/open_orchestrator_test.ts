import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { openOrchestrator } from "../../src/orchestrator/mod.ts";
import { TestEngine } from "../support/engines/embedded_engine.ts";
import { TempDir } from "../support/temp_dir.ts";

Deno.test("openOrchestrator() is the same instance on each run with one database, and a new one in memory", async () => {
  await using engine = await TestEngine.start();
  await using dir = await TempDir.make();
  const instanceOf = async (storePath?: string): Promise<string> => {
    const where = storePath === undefined ? {} : { storePath };
    await using apex = await openOrchestrator({ engine: `unix://${engine.socketPath}`, ...where });
    return apex.containers.instance;
  };
  const first = await instanceOf(dir.join("tasks.db"));
  assertMatch(first, /^[0-9a-f]{16}$/);
  assertEquals(await instanceOf(dir.join("tasks.db")), first);
  assertNotEquals(await instanceOf(dir.join("other.db")), first);
  assertNotEquals(await instanceOf(), await instanceOf());
});
