import { assertEquals } from "@std/assert";
import { silentLogger } from "../../src/platform/logger.ts";
import { openStorage, type Storage } from "../../src/storage/storage.ts";
import { MAX_RUNS, type StoredTask } from "../../src/storage/task_store.ts";
import { holdLock } from "../support/daemons/journaled_log.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TempDir } from "../support/temp_dir.ts";

const MIB = 1024 * 1024;
const limits = { maxTotalBytes: 100 * MIB };

function open(path = ":memory:", clock = new FakeClock()): Storage {
  return openStorage({ path, clock, logger: silentLogger });
}

function ended(taskId: string, run: number): StoredTask {
  return {
    taskId,
    run,
    state: "completed",
    createdAtMs: run,
    endedAtMs: run,
    cleanupPending: false,
    outputAwaited: false,
    spec: {},
  };
}

function output(size: number): { records: Uint8Array; isCut: boolean } {
  return { records: new Uint8Array(size).fill(7), isCut: true };
}

Deno.test("TaskOutputs.get() returns the output that was kept last for a run", async () => {
  await using dir = await TempDir.make();
  {
    using storage = open(dir.join("apex.db"));
    for (const size of [5, 10]) storage.outputs.keep({ taskId: "a", run: 1 }, output(size), limits);
    storage.outputs.keep({ taskId: "a", run: 2 }, { ...output(0), isCut: false, missing: "why" }, limits);
  }
  using storage = open(dir.join("apex.db"));
  assertEquals(storage.outputs.get({ taskId: "a", run: 1 }), output(10));
  assertEquals(storage.outputs.get({ taskId: "a", run: 2 }), { ...output(0), isCut: false, missing: "why" });
  assertEquals([storage.outputs.get({ taskId: "b", run: 1 }), storage.outputs.bytes], [undefined, 10]);
});

Deno.test("TaskOutputs deletes an output together with its task's row", () => {
  using storage = open();
  for (let run = 1; run <= MAX_RUNS + 2; run++) {
    storage.tasks.save(ended("a", run));
    storage.flush();
    storage.outputs.keep({ taskId: "a", run }, output(1), limits);
    // As after the cleanup: the row is updated, and the output stays.
    storage.tasks.save(ended("a", run));
    storage.flush();
  }
  const kept = (run: number) => storage.outputs.get({ taskId: "a", run })?.records.length;
  assertEquals([kept(1), kept(2), kept(3), kept(MAX_RUNS + 2)], [undefined, undefined, 1, 1]);
  assertEquals(storage.outputs.bytes, MAX_RUNS);
});

Deno.test("TaskOutputs discards the oldest outputs beyond the total, but never the newest", () => {
  using storage = open();
  const keep = (run: number, size: number) =>
    storage.outputs.keep({ taskId: "a", run }, output(size), { maxTotalBytes: 25 });
  for (const run of [1, 2, 3]) keep(run, 10);
  const sizes = () => [1, 2, 3, 4].map((run) => storage.outputs.get({ taskId: "a", run })?.records.length);
  assertEquals(sizes(), [0, 10, 10, undefined]);
  assertEquals(storage.outputs.get({ taskId: "a", run: 1 })?.missing?.includes("keep_output_total"), true);
  keep(4, 1_000);
  assertEquals([sizes(), storage.outputs.bytes], [[0, 0, 0, 1_000], 1_000]);
});

Deno.test("TaskOutputs.keep() returns false when it cannot write, and keeps nothing in memory", async () => {
  await using dir = await TempDir.make();
  using storage = open(dir.join("apex.db"));
  {
    using _holder = holdLock(dir.join("apex.db"));
    assertEquals(storage.outputs.keep({ taskId: "a", run: 1 }, output(1), limits), false);
  }
  assertEquals(storage.outputs.get({ taskId: "a", run: 1 }), undefined);
});

Deno.test("outputs do not count for the journal's limit: they displace no event", async () => {
  await using dir = await TempDir.make();
  const clock = new FakeClock();
  using storage = open(dir.join("apex.db"), clock);
  const journal = storage.openJournal({ maxBytes: 4 * MIB });
  const bytes = new TextEncoder().encode('{"type":"container.started"}\n');
  const line = { type: "container.started", taskId: undefined, containerId: undefined, bytes };
  // The newest event is never deleted.
  journal.commit([{ ...line, seq: 1 }, { ...line, seq: 2 }]);
  storage.outputs.keep({ taskId: "a", run: 1 }, output(8 * MIB), limits);
  clock.advance(120_000);
  assertEquals(journal.status.oldestSeq, 1);
});
