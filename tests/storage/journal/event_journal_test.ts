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

Deno.test("EventJournal goes on with number and epoch after an end in order, and after a kill", async () => {
  await using dir = await TempDir.make();
  await using first = new JournaledLog(dir.join("a.db"));
  assertMatch(first.journal.epoch, /^[0-9a-f]{16}$/);
  assertEquals([first.journal.headSeq, first.journal.status.oldestSeq], [0, 1]);
  first.journal.commit(linesOf(1, 3));
  await using second = new JournaledLog(killedAt(dir.join("a.db"), dir.join("b.db")));
  assertEquals([second.journal.epoch, second.journal.headSeq], [first.journal.epoch, 3]);
  second.journal.commit(linesOf(4, 5));
  await second[Symbol.asyncDispose]();
  // In order, another start of the machine changes nothing either.
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

Deno.test("EventJournal begins a new epoch after a kill in an earlier start of the machine, and places its cursors", async () => {
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

Deno.test("rows of state are committed with the events of their block, all or nothing", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using life = new JournaledLog(path);
  using files = new DisposableStack();
  const other = files.adopt(new DatabaseSync(path), (database) => database.close());
  const rows = (): unknown[] =>
    other.prepare("SELECT task_id FROM tasks ORDER BY seq").all().map(({ task_id }) => task_id);
  const save = (taskId: string): void =>
    life.storage.tasks.save({
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
  life.log.append(taskEvent("a"));
  save("after");
  await settled();
  assertEquals([rows(), seqsOf(life.journal)], [["before", "after"], [1]]);
  // A stranger takes the next number: the event cannot be written, so its row must not be either.
  other.exec("INSERT INTO events VALUES (2, 0, 'x', NULL, NULL, x'')");
  save("refused");
  life.log.append(taskEvent("b"));
  await settled();
  assertEquals([rows(), life.journal.status.state], [["before", "after"], "failed"]);
  // Tried again without the event, and so written.
  life.clock.advance(RETRY_MS);
  assertEquals(rows(), ["before", "after", "refused"]);
});

Deno.test("a row with which no event comes is written right after its block", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using life = new JournaledLog(path);
  using files = new DisposableStack();
  const other = files.adopt(new DatabaseSync(path), (database) => database.close());
  life.storage.tasks.save({
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

Deno.test("a commit that is refused begins a new epoch, and the journal goes on behind the hole when it can", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using life = new JournaledLog(path);
  const { journal, clock } = life;
  journal.commit(linesOf(1, 3));
  const { epoch } = journal;
  {
    using _lock = holdLock(path);
    journal.commit(linesOf(4, 5));
    const failedEpoch = journal.epoch;
    assertNotEquals(failedEpoch, epoch);
    assertEquals([journal.status.state, journal.headSeq, journal.lastSharedSeq(epoch)], ["failed", 5, 3]);
    assertEquals([life.storage.status.state, life.errors.length], ["degraded", 1]);
    journal.commit(linesOf(6, 6));
    clock.advance(RETRY_MS);
    assertEquals([journal.epoch, journal.status.state, life.errors.length], [failedEpoch, "failed", 1]);
    // What is there can still be read.
    assertEquals([seqsOf(journal), journal.covers(2), journal.covers(4)], [[1, 2, 3], true, false]);
  }
  const { epoch: current } = journal;
  clock.advance(RETRY_MS);
  assertEquals([journal.status, life.storage.status.state], [
    { state: "on", oldestSeq: 7, newestSeq: 6 },
    "ok",
  ]);
  clock.advance(1);
  journal.commit(linesOf(7, 8));
  assertEquals([journal.epoch, journal.covers(3), journal.covers(7)], [current, false, true]);
  // The hole may be of that time, and of the time before.
  assertEquals([journal.lastHole, journal.seqBefore(clock.now())], [{ first: 4, last: 6 }, 3]);
  journal.commit(linesOf(9, 9));
  clock.advance(1);
  assertEquals(journal.seqBefore(clock.now()), 9);
  await using next = new JournaledLog(killedAt(path, dir.join("b.db")));
  assertEquals([next.journal.epoch, next.journal.headSeq, next.journal.status.oldestSeq], [current, 9, 7]);
});

Deno.test("numbers that were told while nothing could be written are not given again", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using life = new JournaledLog(path);
  {
    using _lock = holdLock(path);
    life.journal.commit(linesOf(1, 50));
  }
  life.clock.advance(RETRY_MS);
  await using next = new JournaledLog(killedAt(path, dir.join("b.db")));
  assertEquals([next.journal.epoch, next.journal.headSeq], [life.journal.epoch, 50]);
});

Deno.test("EventJournal begins a new epoch after a life whose last events could not be written", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using life = new JournaledLog(path);
  life.journal.commit(linesOf(1, 3));
  const { epoch } = life.journal;
  const lock = holdLock(path);
  life.journal.commit(linesOf(4, 4));
  await using next = new JournaledLog(killedAt(path, dir.join("b.db")));
  lock[Symbol.dispose]();
  assertEquals([epoch, life.journal.epoch].includes(next.journal.epoch), false);
  assertEquals([next.journal.lastSharedSeq(epoch), next.journal.covers(3)], [3, false]);
});

Deno.test("EventJournal that is not wanted keeps nothing, gives each life an epoch, and says so to the next", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  const epochs = new Set<string>();
  for (const isKept of [true, false, false, true]) {
    await using life = new JournaledLog(path, { isKept });
    const { journal } = life;
    assertEquals(journal.status.state, isKept ? "on" : "off");
    const head = journal.headSeq;
    journal.commit(linesOf(head + 1, head + 2));
    assertEquals(journal.headSeq, head + 2);
    epochs.add(journal.epoch);
    // Between a life that told what it did not keep and the next is a number that nothing has.
    if (epochs.size === 4) assertEquals([seqsOf(journal), journal.covers(2)], [[1, 2, 5, 6], false]);
    if (epochs.size === 4) assertEquals(journal.lastHole, { first: 3, last: 4 });
  }
  assertEquals(epochs.size, 4);
});

Deno.test("EventJournal.read() gives at most so many rows and bytes, but always one, and those of a task alone", async () => {
  await using dir = await TempDir.make();
  await using life = new JournaledLog(dir.join("a.db"));
  const { journal } = life;
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
  const back = journal.readBack({ beforeSeq: 8, maxRows: 3, maxBytes: 1e6 })?.map(({ seq }) => seq);
  assertEquals(back, [7, 6, 5]);
});

Deno.test("EventJournal forgets what is older than the limit, in steps of under 500 rows, but not the newest", async () => {
  await using dir = await TempDir.make();
  const clock = new FakeClock();
  await using life = new JournaledLog(dir.join("a.db"), { clock, maxAgeMs: HOUR_MS });
  const { journal } = life;
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
  // Some of what was told then is gone; all of what was told after it is here.
  assertEquals([beganMs - 1, beganMs, beganMs + 1].map((ms) => journal.seqBefore(ms)), [0, 0, 3_000]);
  assertEquals(journal.lastHole, undefined);
  clock.advance(2 * HOUR_MS);
  assertEquals([seqsOf(journal), journal.headSeq], [[3_010], 3_010]);
});

Deno.test("EventJournal keeps its size, and gives space back", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  const clock = new FakeClock();
  const maxBytes = 4 * 1024 * 1024;
  await using life = new JournaledLog(path, { clock, maxBytes });
  const { journal } = life;
  for (let first = 1; first < 100_000; first += 1_000) {
    journal.commit(linesOf(first, first + 999, `,"x":"${"x".repeat(200)}"`));
  }
  clock.advance(30_000);
  const kept = 100_000 - journal.status.oldestSeq;
  assert(kept > 8_000 && kept < 20_000, `${kept} are kept`);
  await life[Symbol.asyncDispose]();
  const { size } = await Deno.stat(path);
  assert(size < maxBytes * 1.6, `${size} bytes`);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("EventJournal finds numbers by time, though the clock was set back", async () => {
  await using dir = await TempDir.make();
  const clock = new FakeClock(1_000_000);
  await using life = new JournaledLog(dir.join("a.db"), { clock });
  const { journal } = life;
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
  await life[Symbol.asyncDispose]();
  await using later = new JournaledLog(dir.join("a.db"), { clock: new FakeClock(5) });
  later.journal.commit(linesOf(21, 21));
  assertEquals(later.journal.firstSeqAt(1_001_000), 11);
});

for (
  const [damage, change] of [
    ["is no database", (bytes: Uint8Array) => bytes.fill(0x41)],
    ["has damaged pages", (bytes: Uint8Array) => bytes.fill(0xA5, 4_096)],
    ["is cut off", (bytes: Uint8Array) => bytes.subarray(0, bytes.length / 2)],
  ] as const
) {
  Deno.test(`a database that ${damage} costs its past, not the daemon`, async () => {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    let epoch: string;
    {
      await using life = new JournaledLog(path);
      ({ epoch } = life.journal);
      for (let first = 1; first < 2_000; first += 100) life.journal.commit(linesOf(first, first + 99));
    }
    await Deno.writeFile(path, change(await Deno.readFile(path)));
    await using life = new JournaledLog(path);
    const { journal, log } = life;
    // A damaged page may be noticed only when it is read or written.
    for (let n = 0; n < 3; n++) log.append(eventOf(`event ${n}`));
    await settled();
    journal.read({ afterSeq: 0, ...ALL });
    log.append(eventOf("last"));
    await settled();
    assertNotEquals(journal.epoch, epoch);
    assertEquals([journal.status.state, life.errors.length], ["on", 1]);
    assertEquals(seqsOf(journal).at(-1), journal.headSeq);
    assertMatch(life.errors[0]!, /moved to/);
  });
}

Deno.test("where no database can be made, the log goes on without a journal, and says so", async () => {
  await using dir = await TempDir.make();
  await using life = new JournaledLog(dir.join("no/such/directory/a.db"));
  assertEquals(life.log.append(eventOf("one")), 1);
  await settled();
  assertEquals([life.journal.status.state, life.storage.status.state], ["failed", "degraded"]);
  assertEquals([seqsOf(life.journal), life.errors.length, life.journal.headSeq], [[], 1, 1]);
});

Deno.test({
  name: "a full disk costs the journal its epoch, and space brings it back",
  ignore: !await canMount(),
  fn: async () => {
    await using dir = await TempDir.make();
    await using disk = await SmallDisk.mount(dir.join("disk"));
    await using life = new JournaledLog(`${disk.path}/a.db`);
    const { journal } = life;
    const { epoch } = journal;
    await Deno.writeFile(`${disk.path}/ballast`, new Uint8Array(512 * 1024));
    let seq = 1;
    while (journal.status.state === "on") {
      assert(seq < 10_000, "the disk is never full");
      journal.commit(linesOf(seq, seq + 9, `,"x":"${"x".repeat(300)}"`));
      seq += 10;
    }
    assertNotEquals(journal.epoch, epoch);
    assertMatch(life.storage.status.error!, /full|disk I\/O/);
    assertEquals(seqsOf(journal).at(-1), seq - 11);
    journal.commit(linesOf(seq, seq));
    await Deno.remove(`${disk.path}/ballast`);
    life.clock.advance(RETRY_MS);
    journal.commit(linesOf(seq + 1, seq + 1));
    assertEquals([journal.status, life.storage.status.state], [
      { state: "on", oldestSeq: seq + 1, newestSeq: seq + 1 },
      "ok",
    ]);
    assertEquals(life.errors.length, 1);
  },
});
