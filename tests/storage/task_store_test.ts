import { assert, assertEquals } from "@std/assert";
import { silentLogger } from "../../src/platform/logger.ts";
import { RETRY_MS } from "../../src/storage/database.ts";
import { MIGRATIONS } from "../../src/storage/schema.ts";
import { openStorage, type Storage } from "../../src/storage/storage.ts";
import { MAX_ENDED_TASKS, MAX_RUNS, type StoredTask } from "../../src/storage/task_store.ts";
import { holdLock, withRaw } from "../support/daemons/journaled_log.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TempDir } from "../support/temp_dir.ts";

function open(path: string, clock = new FakeClock()): Storage {
  return openStorage({ path, clock, logger: silentLogger });
}

function task(taskId: string, createdAtMs: number, rest: Partial<StoredTask> = {}): StoredTask {
  return {
    taskId,
    run: 1,
    state: "pending",
    createdAtMs,
    cleanupPending: false,
    outputAwaited: false,
    spec: { image: "x" },
    ...rest,
  };
}

const ended = (taskId: string, createdAtMs: number): StoredTask =>
  task(taskId, createdAtMs, { state: "completed", endedAtMs: createdAtMs + 1 });

const idsOf = (tasks: StoredTask[]): string[] => tasks.map(({ taskId }) => taskId);

Deno.test("TaskStore keeps every field of a task across a restart", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  const full: StoredTask = {
    taskId: "full",
    run: 3,
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
    requestId: "5f0c",
    outputAwaited: true,
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

Deno.test("TaskStore has one row for each run of a task id, and get() returns the last run", async () => {
  await using dir = await TempDir.make();
  for (const path of [":memory:", dir.join("apex.db")]) {
    using storage = open(path);
    const { tasks } = storage;
    for (const write of [() => {}, () => void storage.flush()]) {
      tasks.save(ended("a", 1));
      tasks.save(ended("b", 2));
      write();
      tasks.save(task("a", 3, { run: 2 }));
      write();
      assertEquals(idsOf(tasks.unfinished()), ["a"]);
      assertEquals(idsOf(tasks.ended()), ["b"]);
      // Late, as when the container of the earlier run is removed after the new run has started.
      tasks.save(ended("a", 1));
      write();
      assertEquals([tasks.get("a")?.run, tasks.get("a", 1)?.state, tasks.lastRun("a")], [2, "completed", 2]);
      assertEquals(idsOf(tasks.ended()), ["b"]);
      tasks.save({ ...ended("a", 3), run: 2 });
      write();
      assertEquals(idsOf(tasks.unfinished()), []);
      assertEquals(tasks.ended().map(({ taskId, run }) => [taskId, run]), [["a", 2], ["b", 1]]);
      assertEquals(tasks.runs("a").map(({ run }) => run), [2, 1]);
    }
  }
});

Deno.test("TaskStore keeps a bounded number of the last runs of one task id", () => {
  using storage = open(":memory:");
  const { tasks } = storage;
  tasks.save(ended("other", 0));
  for (let run = 1; run <= MAX_RUNS + 5; run++) {
    tasks.save({ ...ended("a", run), run });
    storage.flush();
  }
  assertEquals(tasks.runs("a").map(({ run }) => run), Array.from({ length: MAX_RUNS }, (_, i) => 15 - i));
  assertEquals([tasks.get("a", 5), tasks.get("other")?.run], [undefined, 1]);
});

Deno.test("migration turns each task of an old database into the first run of its id", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  withRaw(
    path,
    MIGRATIONS.slice(0, 6).join(";") + ";" +
      `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
       INSERT INTO meta VALUES ('schema_version', '6');
       INSERT INTO tasks (task_id, state, created_ms, ended_ms, cleanup_pending, spec)
       VALUES ('a', 'completed', 1, 2, 0, '{"image":"x"}'), ('b', 'completed', 2, 3, 0, '{"image":"x"}')`,
  );
  {
    using storage = open(path);
    assertEquals(storage.tasks.ended(), [ended("b", 2), ended("a", 1)]);
    storage.tasks.save(task("b", 4, { run: 2 }));
  }
  using storage = open(path);
  assertEquals([storage.status.error, storage.tasks.get("b")?.run], [undefined, 2]);
});

Deno.test("TaskStore keeps the newest ended tasks, and every task that has not ended", () => {
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

Deno.test("TaskStore returns tasks that could not be written, and writes them when the database recovers", async () => {
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

Deno.test("Storage tries to write once more when it is disposed, and leaves no timer", async () => {
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

Deno.test("a new database that replaces a damaged one gets the unfinished tasks", async () => {
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

Deno.test("a row with an invalid JSON column is treated as damage", async () => {
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
