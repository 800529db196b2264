import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { RETRY_MS } from "../../../src/storage/database.ts";
import type { EventJournal } from "../../../src/storage/journal/event_journal.ts";
import type { JournalLine } from "../../../src/storage/journal/event_rows.ts";
import { holdLock, JournaledLog, killedAt, settled, taskEvent } from "../../support/daemons/journaled_log.ts";
import { eventOf } from "../../support/daemons/wire_events.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { canMount, SmallDisk } from "../../support/small_disk.ts";
import { TempDir } from "../../support/temp_dir.ts";

const ALL = { maxRows: 1_000_000, maxBytes: 1e9 };
const HOUR_MS = 3_600_000;

function linesOf(first: number, last: number, text = ""): JournalLine[] {
  return Array.from({ length: last - first + 1 }, (_, index) => ({
    seq: first + index,
    type: "container.started",
    taskId: `t${(first + index) % 3}`,
    containerId: undefined,
    bytes: new TextEncoder().encode(`{"type":"container.started","n":${first + index}${text}}\n`),
  }));
}

const seqsOf = (journal: EventJournal, afterSeq = 0): number[] =>
  journal.read({ afterSeq, ...ALL })!.map(({ seq }) => seq);
const textOf = (line: Uint8Array): string => new TextDecoder().decode(line);

Deno.test("EventJournal continues number and epoch after an orderly exit and after a kill", async () => {
  await using dir = await TempDir.make();
  await using first = new JournaledLog(dir.join("a.db"));
  assertMatch(first.journal.epoch, /^[0-9a-f]{16}$/);
  assertEquals([first.journal.headSeq, first.journal.status.oldestSeq], [0, 1]);
  first.journal.commit(linesOf(1, 3));
  await using second = new JournaledLog(killedAt(dir.join("a.db"), dir.join("b.db")));
  assertEquals([second.journal.epoch, second.journal.headSeq], [first.journal.epoch, 3]);
  second.journal.commit(linesOf(4, 5));
  await second[Symbol.asyncDispose]();
  // After an orderly exit, a reboot changes nothing either.
  await using third = new JournaledLog(dir.join("b.db"), { bootId: "another" });
  assertEquals([third.journal.epoch, third.journal.headSeq], [first.journal.epoch, 5]);
  assertEquals(seqsOf(third.journal), [1, 2, 3, 4, 5]);
  const [, two] = third.journal.read({ afterSeq: 0, ...ALL })!;
  assertEquals([textOf(two!.line), two!.taskId, two!.containerId], [
    '{"type":"container.started","n":2}',
    "t2",
    undefined,
  ]);
});

Deno.test("EventJournal begins a new epoch after a kill before a reboot, and understands the old cursors", async () => {
  await using dir = await TempDir.make();
  await using first = new JournaledLog(dir.join("a.db"), { bootId: "one" });
  first.journal.commit(linesOf(1, 3));
  await using second = new JournaledLog(killedAt(dir.join("a.db"), dir.join("b.db")), {
    bootId: "two",
  });
  assertNotEquals(second.journal.epoch, first.journal.epoch);
  assertEquals([second.journal.headSeq, second.journal.lastSharedSeq(first.journal.epoch)], [3, 3]);
  assert(second.journal.covers(1) && second.journal.covers(3) && !second.journal.covers(4));
  assertEquals(second.journal.lastSharedSeq("0123456789abcdef"), undefined);
});

Deno.test("rows of state are committed with the events of their block, or neither is", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using daemon = new JournaledLog(path);
  using files = new DisposableStack();
  const other = files.adopt(new DatabaseSync(path), (database) => database.close());
  const rows = (): unknown[] =>
    other.prepare("SELECT task_id FROM tasks ORDER BY seq").all().map(({ task_id }) => task_id);
  const save = (taskId: string): void =>
    daemon.storage.tasks.save({
      taskId,
      run: 1,
      state: "pending",
      createdAtMs: 1,
      cleanupPending: false,
      outputAwaited: false,
      spec: {},
    });
  // In either order.
  save("before");
  daemon.log.append(taskEvent("a"));
  save("after");
  await settled();
  assertEquals([rows(), seqsOf(daemon.journal)], [["before", "after"], [1]]);
  // Another program takes the next number: the event cannot be written, so the row must not be written either.
  other.exec("INSERT INTO events VALUES (2, 0, 'x', NULL, NULL, x'')");
  save("refused");
  daemon.log.append(taskEvent("b"));
  await settled();
  assertEquals([rows(), daemon.journal.status.state], [["before", "after"], "failed"]);
  // Tried again without the event, and written.
  daemon.clock.advance(RETRY_MS);
  assertEquals(rows(), ["before", "after", "refused"]);
});

Deno.test("a row without an event is written right after its block", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using daemon = new JournaledLog(path);
  using files = new DisposableStack();
  const other = files.adopt(new DatabaseSync(path), (database) => database.close());
  daemon.storage.tasks.save({
    taskId: "t",
    run: 1,
    state: "pending",
    createdAtMs: 1,
    cleanupPending: false,
    outputAwaited: false,
    spec: {},
  });
  const count = (): unknown => other.prepare("SELECT count(*) AS n FROM tasks").get()?.n;
  assertEquals(count(), 0);
  await Promise.resolve().then(() => {}).then(() => {});
  assertEquals(count(), 1);
});

Deno.test("EventJournal begins a new epoch when a commit is refused, and continues after the hole when it can write", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using daemon = new JournaledLog(path);
  const { journal, clock } = daemon;
  journal.commit(linesOf(1, 3));
  const { epoch } = journal;
  {
    using _lock = holdLock(path);
    journal.commit(linesOf(4, 5));
    const failedEpoch = journal.epoch;
    assertNotEquals(failedEpoch, epoch);
    assertEquals([journal.status.state, journal.headSeq, journal.lastSharedSeq(epoch)], ["failed", 5, 3]);
    assertEquals([daemon.storage.status.state, daemon.errors.length], ["degraded", 1]);
    journal.commit(linesOf(6, 6));
    clock.advance(RETRY_MS);
    assertEquals([journal.epoch, journal.status.state, daemon.errors.length], [failedEpoch, "failed", 1]);
    // The existing events can still be read.
    assertEquals([seqsOf(journal), journal.covers(2), journal.covers(4)], [[1, 2, 3], true, false]);
  }
  const { epoch: current } = journal;
  clock.advance(RETRY_MS);
  assertEquals([journal.status, daemon.storage.status.state], [
    { state: "on", oldestSeq: 7, newestSeq: 6 },
    "ok",
  ]);
  clock.advance(1);
  journal.commit(linesOf(7, 8));
  assertEquals([journal.epoch, journal.covers(3), journal.covers(7)], [current, false, true]);
  // The missing events may have been published at that time or before.
  assertEquals([journal.lastHole, journal.seqBefore(clock.now())], [{ first: 4, last: 6 }, 3]);
  journal.commit(linesOf(9, 9));
  clock.advance(1);
  assertEquals(journal.seqBefore(clock.now()), 9);
  await using next = new JournaledLog(killedAt(path, dir.join("b.db")));
  assertEquals([next.journal.epoch, next.journal.headSeq, next.journal.status.oldestSeq], [current, 9, 7]);
});

Deno.test("numbers that were published while nothing could be written are not used again", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using daemon = new JournaledLog(path);
  {
    using _lock = holdLock(path);
    daemon.journal.commit(linesOf(1, 50));
  }
  daemon.clock.advance(RETRY_MS);
  await using next = new JournaledLog(killedAt(path, dir.join("b.db")));
  assertEquals([next.journal.epoch, next.journal.headSeq], [daemon.journal.epoch, 50]);
});

Deno.test("EventJournal begins a new epoch after a run whose last events could not be written", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using daemon = new JournaledLog(path);
  daemon.journal.commit(linesOf(1, 3));
  const { epoch } = daemon.journal;
  const lock = holdLock(path);
  daemon.journal.commit(linesOf(4, 4));
  await using next = new JournaledLog(killedAt(path, dir.join("b.db")));
  lock[Symbol.dispose]();
  assertEquals([epoch, daemon.journal.epoch].includes(next.journal.epoch), false);
  assertEquals([next.journal.lastSharedSeq(epoch), next.journal.covers(3)], [3, false]);
});

Deno.test("EventJournal that is off writes nothing, begins an epoch for each run, and leaves a gap for the next", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  const epochs = new Set<string>();
  for (const isKept of [true, false, false, true]) {
    await using daemon = new JournaledLog(path, { isKept });
    const { journal } = daemon;
    assertEquals(journal.status.state, isKept ? "on" : "off");
    const head = journal.headSeq;
    journal.commit(linesOf(head + 1, head + 2));
    assertEquals(journal.headSeq, head + 2);
    epochs.add(journal.epoch);
    // One number is skipped after a run that did not journal its events.
    if (epochs.size === 4) assertEquals([seqsOf(journal), journal.covers(2)], [[1, 2, 5, 6], false]);
    if (epochs.size === 4) assertEquals(journal.lastHole, { first: 3, last: 4 });
  }
  assertEquals(epochs.size, 4);
});

Deno.test("EventJournal.read() returns a bounded number of rows and bytes, at least one row, and only rows of the task", async () => {
  await using dir = await TempDir.make();
  await using daemon = new JournaledLog(dir.join("a.db"));
  const { journal } = daemon;
  journal.commit([...linesOf(1, 5), ...linesOf(6, 6, `,"x":"${"x".repeat(5_000)}"`), ...linesOf(7, 9)]);
  const read = (
    afterSeq: number,
    options: { maxRows?: number; maxBytes?: number; taskId?: string },
  ): number[] => journal.read({ afterSeq, ...ALL, ...options })!.map(({ seq }) => seq);
  assertEquals(read(0, { maxRows: 2 }), [1, 2]);
  assertEquals(read(2, { maxBytes: 110 }), [3, 4, 5]);
  assertEquals(read(5, { maxBytes: 10 }), [6]);
  assertEquals(read(0, { taskId: "t0" }), [3, 6, 9]);
  assertEquals(read(3, { taskId: "t0", maxRows: 1 }), [6]);
  assertEquals([read(9, {}), read(0, { taskId: "none" })], [[], []]);
  const back = journal.read({ beforeSeq: 8, maxRows: 3, maxBytes: 1e6 })?.map(({ seq }) => seq);
  assertEquals(back, [7, 6, 5]);
});

Deno.test("EventJournal deletes events older than the limit in steps of under 500 rows, but not the newest", async () => {
  await using dir = await TempDir.make();
  const clock = new FakeClock();
  await using daemon = new JournaledLog(dir.join("a.db"), { clock, maxAgeMs: HOUR_MS });
  const { journal } = daemon;
  const beganMs = clock.now();
  journal.commit(linesOf(1, 3_000));
  assertEquals(journal.seqBefore(beganMs), 0);
  clock.advance(HOUR_MS / 2);
  journal.commit(linesOf(3_001, 3_010));
  clock.advance(HOUR_MS / 2 - 120_000);
  assertEquals(journal.status.oldestSeq, 1);
  let before = 1;
  for (let step = 0; journal.status.oldestSeq < 3_001; step++) {
    assert(step < 100_000, "it does not end");
    clock.advance(10);
    const { oldestSeq } = journal.status;
    assert(oldestSeq - before < 500, `${oldestSeq - before} rows in one step`);
    before = oldestSeq;
  }
  assertEquals(seqsOf(journal)[0], 3_001);
  // Some events of that time are deleted; all later ones exist.
  assertEquals([beganMs - 1, beganMs, beganMs + 1].map((ms) => journal.seqBefore(ms)), [0, 0, 3_000]);
  assertEquals(journal.lastHole, undefined);
  clock.advance(2 * HOUR_MS);
  assertEquals([seqsOf(journal), journal.headSeq], [[3_010], 3_010]);
});

Deno.test("EventJournal keeps within its size limit, and gives space back to the file system", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  const clock = new FakeClock();
  const maxBytes = 4 * 1024 * 1024;
  await using daemon = new JournaledLog(path, { clock, maxBytes });
  const { journal } = daemon;
  for (let first = 1; first < 100_000; first += 1_000) {
    journal.commit(linesOf(first, first + 999, `,"x":"${"x".repeat(200)}"`));
  }
  clock.advance(30_000);
  const kept = 100_000 - journal.status.oldestSeq;
  assert(kept > 8_000 && kept < 20_000, `${kept} are kept`);
  await daemon[Symbol.asyncDispose]();
  const { size } = await Deno.stat(path);
  assert(size < maxBytes * 1.6, `${size} bytes`);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("EventJournal.firstSeqAt() works after the clock was set back", async () => {
  await using dir = await TempDir.make();
  const clock = new FakeClock(1_000_000);
  await using daemon = new JournaledLog(dir.join("a.db"), { clock });
  const { journal } = daemon;
  assertEquals(journal.firstSeqAt(0), 1);
  journal.commit(linesOf(1, 10));
  clock.advance(1_000);
  journal.commit(linesOf(11, 20));
  assertEquals([999_999, 1_000_000, 1_000_001, 1_001_000, 1_001_001].map((ms) => journal.firstSeqAt(ms)), [
    1,
    1,
    11,
    11,
    21,
  ]);
  await daemon[Symbol.asyncDispose]();
  await using later = new JournaledLog(dir.join("a.db"), { clock: new FakeClock(5) });
  later.journal.commit(linesOf(21, 21));
  assertEquals(later.journal.firstSeqAt(1_001_000), 11);
});

for (
  const [damage, change] of [
    ["is not a database", (bytes: Uint8Array) => bytes.fill(0x41)],
    ["has damaged pages", (bytes: Uint8Array) => bytes.fill(0xA5, 4_096)],
    ["is cut off", (bytes: Uint8Array) => bytes.subarray(0, bytes.length / 2)],
  ] as const
) {
  Deno.test(`a database that ${damage} loses its history, and the daemon continues`, async () => {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    let epoch: string;
    {
      await using daemon = new JournaledLog(path);
      ({ epoch } = daemon.journal);
      for (let first = 1; first < 2_000; first += 100) daemon.journal.commit(linesOf(first, first + 99));
    }
    await Deno.writeFile(path, change(await Deno.readFile(path)));
    await using daemon = new JournaledLog(path);
    const { journal, log } = daemon;
    // SQLite may find a damaged page only when it reads or writes it.
    for (let n = 0; n < 3; n++) log.append(eventOf(`event ${n}`));
    await settled();
    journal.read({ afterSeq: 0, ...ALL });
    log.append(eventOf("last"));
    await settled();
    assertNotEquals(journal.epoch, epoch);
    assertEquals([journal.status.state, daemon.errors.length], ["on", 1]);
    assertEquals(seqsOf(journal).at(-1), journal.headSeq);
    assertMatch(daemon.errors[0]!, /moved to/);
  });
}

Deno.test("the log continues without a journal, and reports that, when no database can be created", async () => {
  await using dir = await TempDir.make();
  await using daemon = new JournaledLog(dir.join("no/such/directory/a.db"));
  assertEquals(daemon.log.append(eventOf("one")), 1);
  await settled();
  assertEquals([daemon.journal.status.state, daemon.storage.status.state], ["failed", "degraded"]);
  assertEquals([seqsOf(daemon.journal), daemon.errors.length, daemon.journal.headSeq], [[], 1, 1]);
});

Deno.test({
  name: "EventJournal fails on a full disk, and continues when space is free again",
  ignore: !await canMount(),
  fn: async () => {
    await using dir = await TempDir.make();
    await using disk = await SmallDisk.mount(dir.join("disk"));
    await using daemon = new JournaledLog(`${disk.path}/a.db`);
    const { journal } = daemon;
    const { epoch } = journal;
    await Deno.writeFile(`${disk.path}/ballast`, new Uint8Array(512 * 1024));
    let seq = 1;
    while (journal.status.state === "on") {
      assert(seq < 10_000, "the disk is never full");
      journal.commit(linesOf(seq, seq + 9, `,"x":"${"x".repeat(300)}"`));
      seq += 10;
    }
    assertNotEquals(journal.epoch, epoch);
    assertMatch(daemon.storage.status.error!, /full|disk I\/O/);
    assertEquals(seqsOf(journal).at(-1), seq - 11);
    journal.commit(linesOf(seq, seq));
    await Deno.remove(`${disk.path}/ballast`);
    daemon.clock.advance(RETRY_MS);
    journal.commit(linesOf(seq + 1, seq + 1));
    assertEquals([journal.status, daemon.storage.status.state], [
      { state: "on", oldestSeq: seq + 1, newestSeq: seq + 1 },
      "ok",
    ]);
    assertEquals(daemon.errors.length, 1);
  },
});
