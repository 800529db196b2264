import { assert, assertEquals } from "@std/assert";
import { silentLogger } from "../../src/platform/logger.ts";
import { RETRY_MS } from "../../src/storage/database.ts";
import { openStorage, type Storage } from "../../src/storage/storage.ts";
import type { StoredTask } from "../../src/storage/stored_task.ts";
import { MAX_ENDED_TASKS } from "../../src/storage/task_store.ts";
import { holdLock, withRaw } from "../eventlog/journaled_log.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TempDir } from "../support/temp_dir.ts";

function open(path: string, clock = new FakeClock()): Storage {
  return openStorage({ path, clock, logger: silentLogger });
}

function task(taskId: string, createdAtMs: number, rest: Partial<StoredTask> = {}): StoredTask {
  return { taskId, state: "pending", createdAtMs, cleanupPending: false, spec: { image: "x" }, ...rest };
}

const ended = (taskId: string, createdAtMs: number): StoredTask =>
  task(taskId, createdAtMs, { state: "completed", endedAtMs: createdAtMs + 1 });

const idsOf = (tasks: StoredTask[]): string[] => tasks.map(({ taskId }) => taskId);

Deno.test("TaskStore keeps every field of a task over a restart", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  const full: StoredTask = {
    taskId: "full",
    state: "failed",
    reason: "signal",
    exitCode: 137,
    error: "no\nwonder",
    engineId: "engine-1",
    containerId: "c".repeat(64),
    workspacePath: "/here",
    createdAtMs: 1_700_000_000_000,
    startedAtMs: 1_700_000_000_001,
    endedAtMs: 1_700_000_000_002,
    stopCause: "cancel",
    cleanupPending: true,
    spec: { image: "x", env: { A: "ü" }, cmd: ["a", "b"] },
  };
  {
    using storage = open(path);
    storage.tasks.save(full);
    storage.tasks.save(task("bare", 1));
  }
  using storage = open(path);
  assertEquals(storage.tasks.get("full"), full);
  assertEquals(storage.tasks.get("bare"), task("bare", 1));
  assertEquals(storage.tasks.get("none"), undefined);
  assertEquals(idsOf(storage.tasks.unfinished()), ["bare", "full"]);
  assertEquals(idsOf(storage.tasks.ended()), ["full"]);
});

Deno.test("TaskStore.save() puts a task's newer row in place of the older one", () => {
  using storage = open(":memory:");
  storage.tasks.save(ended("a", 1));
  storage.tasks.save(ended("b", 2));
  storage.tasks.save(task("a", 3));
  assertEquals(idsOf(storage.tasks.unfinished()), ["a"]);
  assertEquals(idsOf(storage.tasks.ended()), ["b"]);
  storage.tasks.save(ended("a", 3));
  assertEquals(idsOf(storage.tasks.unfinished()), []);
  assertEquals(idsOf(storage.tasks.ended()), ["a", "b"]);
});

Deno.test("TaskStore keeps the newest ended tasks, and each that has not ended", () => {
  using storage = open(":memory:");
  storage.tasks.save(task("old but alive", 0));
  storage.tasks.save({ ...ended("old but dirty", 0), cleanupPending: true });
  const more = 1_000;
  for (let i = 1; i <= MAX_ENDED_TASKS + more; i++) {
    storage.tasks.save(ended(`t${i}`, i));
    if (i % 10 === 0) storage.flush();
  }
  const kept = idsOf(storage.tasks.ended());
  assert(kept.length >= MAX_ENDED_TASKS && kept.length < MAX_ENDED_TASKS + 100, `${kept.length} are kept`);
  assertEquals(kept[0], `t${MAX_ENDED_TASKS + more}`);
  assertEquals(storage.tasks.get("t1"), undefined);
  assertEquals(idsOf(storage.tasks.unfinished()), ["old but alive", "old but dirty"]);
});

Deno.test("TaskStore tells of what could not be written, and writes it when that works again", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  const clock = new FakeClock();
  using storage = open(path, clock);
  storage.tasks.save(ended("a", 1));
  storage.flush();
  {
    using _holder = holdLock(path);
    storage.tasks.save(ended("b", 2));
    storage.tasks.save(task("c", 3));
    storage.tasks.save(task("a", 4));
    storage.flush();
    assertEquals(storage.status.state, "degraded");
    assertEquals(idsOf(storage.tasks.ended()), ["b"]);
    assertEquals(idsOf(storage.tasks.unfinished()), ["c", "a"]);
    assertEquals(storage.tasks.get("b"), ended("b", 2));
    clock.advance(RETRY_MS);
    assertEquals(storage.status.state, "degraded");
  }
  clock.advance(RETRY_MS);
  assertEquals([storage.status.state, clock.pendingTimers], ["ok", 0]);
  using reader = open(path);
  assertEquals(idsOf(reader.tasks.ended()), ["b"]);
  assertEquals(idsOf(reader.tasks.unfinished()), ["c", "a"]);
});

Deno.test("TaskStore tries once more at its disposal, and leaves no timer", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  const clock = new FakeClock();
  const storage = open(path, clock);
  {
    using _holder = holdLock(path);
    storage.tasks.save(task("a", 1));
    storage.flush();
  }
  for (let i = 0; i < 2; i++) storage[Symbol.dispose]();
  assertEquals(clock.pendingTimers, 0);
  storage.tasks.save(task("late", 2));
  assertEquals(clock.pendingTimers, 0);
  using reader = open(path);
  assertEquals(idsOf(reader.tasks.unfinished()), ["a"]);
});

Deno.test("a database that turns out to be damaged is begun anew with the tasks that are not over", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  using storage = open(path);
  storage.tasks.save(ended("past", 1));
  storage.tasks.save(task("alive", 2));
  storage.flush();
  withRaw(path, "DROP TABLE tasks");
  storage.tasks.save(task("next", 3));
  storage.flush();
  assertEquals(idsOf(storage.tasks.unfinished()), ["alive", "next"]);
  assertEquals(storage.status.state, "ok");
  const names: string[] = [];
  for await (const { name } of Deno.readDir(dir.path)) names.push(name);
  assertEquals(names.filter((name) => name.includes(".corrupt-")).length > 0, true);
  using reader = open(path);
  assertEquals(idsOf(reader.tasks.unfinished()), ["alive", "next"]);
  assertEquals(idsOf(reader.tasks.ended()), []);
});

Deno.test("a row whose description is no JSON any more is damage, too", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  {
    using storage = open(path);
    storage.tasks.save(ended("a", 1));
  }
  withRaw(path, "UPDATE tasks SET spec = '{'");
  using storage = open(path);
  assertEquals(storage.tasks.ended(), []);
  storage.tasks.save(ended("b", 2));
  assertEquals(idsOf(storage.tasks.ended()), ["b"]);
});
