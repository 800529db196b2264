import { assert, assertEquals } from "@std/assert";
import type { StoredContainer } from "../../src/storage/container_store.ts";
import type { StoredTask } from "../../src/storage/task_store.ts";
import { JournaledLog, killedAt, settled, taskEvent } from "../support/daemons/journaled_log.ts";
import { TempDir } from "../support/temp_dir.ts";

const CONTAINER: StoredContainer = {
  id: "c1",
  name: "web",
  image: "i",
  labels: {},
  state: "running",
  details: {},
};
const TASK: StoredTask = {
  taskId: "t1",
  run: 1,
  state: "pending",
  createdAtMs: 0,
  cleanupPending: false,
  outputAwaited: false,
  spec: {},
};

/** Lets promises continue, but not the event loop: all of it is one turn. */
async function laterInThisTurn(): Promise<void> {
  for (let hop = 0; hop < 10; hop++) await undefined;
}

async function openFollowing(path: string): Promise<JournaledLog> {
  const run = new JournaledLog(path);
  run.storage.containers.follow({ engineId: "E", baselineNano: 0 }, { isNew: true });
  await settled();
  return run;
}

/** What the next run of the daemon would find if this one was killed now. */
async function afterKill(
  path: string,
): Promise<{ events: number; containers: number; engineEvents: number }> {
  await using next = new JournaledLog(killedAt(path, `${path}-copy`));
  return {
    events: next.journal.headSeq,
    containers: next.storage.containers.ofEngine("E").length,
    engineEvents: next.storage.engineEvents.recent("E").length,
  };
}

Deno.test("the first event of a turn is committed at once, the others with their rows when the turn ends", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using run = await openFollowing(path);
  run.log.append(taskEvent("a"));
  await laterInThisTurn();
  assertEquals(run.journal.headSeq, 1);
  run.log.append(taskEvent("b"));
  run.storage.containers.save("c1", () => CONTAINER);
  run.storage.engineEvents.note("E", { timeNano: 1e18, containerId: "c1", action: "start" });
  await laterInThisTurn();
  run.log.append(taskEvent("c"));
  await laterInThisTurn();
  const killedInTurn = afterKill(path);
  assertEquals(run.journal.headSeq, 1);
  assertEquals(await killedInTurn, { events: 1, containers: 0, engineEvents: 0 });
  await settled();
  assertEquals(run.journal.headSeq, 3);
  assertEquals(await afterKill(path), { events: 3, containers: 1, engineEvents: 1 });
});

Deno.test("events that follow one another by a microtask share a transaction", async () => {
  await using dir = await TempDir.make();
  await using run = await openFollowing(dir.join("a.db"));
  for (let n = 0; n < 100; n++) {
    run.log.append(taskEvent("a"));
    await undefined;
  }
  assertEquals(run.journal.headSeq, 1);
  await settled();
  assertEquals(run.journal.headSeq, 100);
});

Deno.test("a task's row is committed at the end of its block, together with everything that waits", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using run = await openFollowing(path);
  run.log.append(taskEvent("a"));
  await laterInThisTurn();
  run.log.append(taskEvent("b"));
  run.storage.containers.save("c1", () => CONTAINER);
  await laterInThisTurn();
  run.storage.tasks.save(TASK);
  await laterInThisTurn();
  const killedInTurn = afterKill(path);
  assertEquals([run.journal.headSeq, run.storage.tasks.lastRun("t1")], [2, 1]);
  assertEquals(await killedInTurn, { events: 2, containers: 1, engineEvents: 0 });
});

Deno.test("flush() commits the events that wait together with the rows", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using run = await openFollowing(path);
  run.log.append(taskEvent("a"));
  run.storage.containers.save("c1", () => CONTAINER);
  assert(run.storage.flush());
  assertEquals(run.journal.headSeq, 1);
  assertEquals(await afterKill(path), { events: 1, containers: 1, engineEvents: 0 });
});

Deno.test("a turn without an end holds a bounded number of events", async () => {
  await using dir = await TempDir.make();
  await using run = await openFollowing(dir.join("a.db"));
  for (let n = 1; n <= 1_000; n++) {
    run.log.append(taskEvent("a"));
    await laterInThisTurn();
    assert(n - run.journal.headSeq < 256);
  }
  assert(run.journal.headSeq < 1_000, "each event was committed alone");
});

Deno.test("a log that was closed leaves nothing that waits for the end of the turn", async () => {
  await using dir = await TempDir.make();
  const run = await openFollowing(dir.join("a.db"));
  run.log.append(taskEvent("a"));
  await laterInThisTurn();
  run.log.append(taskEvent("b"));
  await run[Symbol.asyncDispose]();
  assertEquals(run.journal.headSeq, 2);
});
