import { assert, assertEquals, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import * as v from "valibot";
import type { EventLog } from "../../src/eventlog/event_log.ts";
import { resumeCursor } from "../../src/eventlog/resumable_feed.ts";
import type { CloseReason } from "../../src/eventlog/subscription.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { streamRecordSchemas } from "../../src/protocol/event_operations.ts";
import { EventFilter } from "../../src/storage/journal/event_filter.ts";
import {
  containerEvent,
  JournaledLog,
  killedAt,
  memoryLog,
  settled,
  taskEvent,
} from "../support/daemons/journaled_log.ts";
import { StreamTaker } from "../support/daemons/stream_taker.ts";
import { eventOf, eventOfBytes, lineOf } from "../support/daemons/wire_events.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { readText, SocketPairs } from "../support/socket_pairs.ts";
import { TempDir } from "../support/temp_dir.ts";
import { within } from "../support/within.ts";

/** Small enough for a test to fill. */
const SMALL = { segmentBytes: 4_096, retainedBytes: 16_384 };

const numbers = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** Appends blocks of 10 events, one in each turn. */
async function append(log: EventLog, count: number, bytes = 250): Promise<void> {
  for (let n = 0; n < count; n++) {
    log.append(eventOfBytes(bytes));
    if (n % 10 === 9) await settled(1);
  }
  await settled();
}

Deno.test("a resumable subscriber gets the head of the log, then each event with its number", async () => {
  await using pairs = await SocketPairs.open();
  await using log = memoryLog({ clock: new FakeClock() });
  log.append(eventOf("before"));
  const { server, client } = await pairs.pair();
  const snapshot = { containers: [{ id: "c" }], sessions: [], tasks: [] };
  log.subscribeResumable({ connection: server, snapshot });
  log.append(eventOf("after"));
  const text = await within(5_000, "the event", readText(client, `${lineOf(eventOf("after")).slice(1)}`));
  const cursor = `${log.epoch}:1`;
  assertEquals(text.split("\n"), [
    JSON.stringify({ type: "stream.hello", protocol: 1, epoch: log.epoch, cursor, oldest: `${log.epoch}:0` }),
    JSON.stringify({ type: "stream.snapshot", ...snapshot, cursor }),
    `{"seq":2,${JSON.stringify(eventOf("after")).slice(1)}`,
    "",
  ]);
});

Deno.test("a resumable subscriber resumes after its cursor, from memory and from the journal", async () => {
  await using dir = await TempDir.make();
  await using daemon = new JournaledLog(dir.join("a.db"), { log: SMALL });
  await append(daemon.log, 500);
  assert(daemon.log.stats().oldestSeq > 400);
  for (const seq of [0, 1, 250, 439, 499, 500]) {
    const taker = new StreamTaker();
    daemon.log.subscribeResumable({ connection: taker, after: { epoch: daemon.log.epoch, seq } });
    daemon.log.append(eventOf("now"));
    await settled(20);
    const { headSeq } = daemon.log.stats();
    assertEquals(taker.seqs, numbers(seq + 1, headSeq), `after ${seq}`);
    assertEquals(taker.records.map(({ type }) => type), ["stream.hello"]);
  }
});

Deno.test("a resumable subscriber that has stopped reading continues from the journal, and delays no other", async () => {
  await using dir = await TempDir.make();
  await using daemon = new JournaledLog(dir.join("a.db"), { log: SMALL });
  const slow = new StreamTaker();
  const quick = new StreamTaker();
  for (const connection of [slow, quick]) daemon.log.subscribeResumable({ connection });
  await append(daemon.log, 10);
  slow.stall();
  await append(daemon.log, 2_000);
  assertEquals(quick.seqs, numbers(1, 2_010));
  assert(slow.seqs.length < 100);
  slow.goOn();
  await settled(100);
  assertEquals(slow.seqs, numbers(1, 2_010));
  assertEquals([slow.records.length, daemon.log.stats().subscribersDropped], [1, 0]);
});

Deno.test("events that neither memory nor the journal has are reported as a gap with its exact range", async () => {
  await using log = memoryLog({ clock: new FakeClock(), ...SMALL });
  const slow = new StreamTaker();
  log.subscribeResumable({ connection: slow });
  await append(log, 10);
  slow.stall();
  await append(log, 500);
  const { oldestSeq } = log.stats();
  slow.goOn();
  await settled(20);
  const [, gap, ...more] = slow.records;
  assert(gap?.type === "stream.gap" && more.length === 0);
  assertEquals([gap.reason, gap.to], ["evicted", `${log.epoch}:${oldestSeq - 1}`]);
  const from = Number(gap.from.split(":")[1]);
  assertEquals(slow.seqs, [...numbers(1, from), ...numbers(oldestSeq, 510)]);
  // The gap is at the place of the missing events.
  assertEquals(slow.lines.findIndex(({ type }) => type === "stream.gap"), 1 + from);
});

Deno.test("a cursor before the oldest event of the journal is a gap up to that event", async () => {
  await using dir = await TempDir.make();
  const clock = new FakeClock();
  await using daemon = new JournaledLog(dir.join("a.db"), { clock, maxAgeMs: 60_000, log: SMALL });
  await append(daemon.log, 300);
  clock.advance(300_000);
  await append(daemon.log, 5);
  assertEquals(daemon.journal.status.oldestSeq, 300);
  await using next = new JournaledLog(killedAt(dir.join("a.db"), dir.join("b.db")), { clock });
  const { epoch } = next.log;
  const taker = new StreamTaker();
  next.log.subscribeResumable({ connection: taker, after: { epoch, seq: 100 } });
  await settled(20);
  assertEquals(taker.records.slice(1), [
    { type: "stream.gap", from: `${epoch}:100`, to: `${epoch}:299`, reason: "evicted" },
  ]);
  assertEquals(taker.seqs, numbers(300, 305));
});

Deno.test("a cursor after the head is a gap to the head, and one of an unknown epoch a gap to the oldest event", async () => {
  await using log = memoryLog({ clock: new FakeClock() });
  await append(log, 5);
  const resume = async (after: string): Promise<StreamTaker> => {
    const taker = new StreamTaker();
    log.subscribeResumable({ connection: taker, after: resumeCursor(after) });
    await settled();
    return taker;
  };
  const future = await resume(`${log.epoch}:99`);
  const foreign = await resume("00000000000000bb:12");
  await append(log, 1);
  assertEquals(future.records.slice(1), [
    { type: "stream.gap", from: `${log.epoch}:99`, to: `${log.epoch}:5`, reason: "future" },
  ]);
  assertEquals(future.seqs, [6]);
  assertEquals(foreign.records.slice(1), [
    { type: "stream.gap", from: "00000000000000bb:12", to: `${log.epoch}:0`, reason: "epoch" },
  ]);
  assertEquals(foreign.seqs, numbers(1, 6));
});

Deno.test("a cursor of an earlier epoch loses only the events that the epochs do not share", async () => {
  await using dir = await TempDir.make();
  await using first = new JournaledLog(dir.join("a.db"), { bootId: "one" });
  await append(first.log, 20);
  const old = first.log.epoch;
  await using second = new JournaledLog(killedAt(dir.join("a.db"), dir.join("b.db")), {
    bootId: "two",
  });
  await append(second.log, 5);
  const { epoch } = second.log;
  for (const [seq, to] of [[15, 15], [20, 20], [24, 20]] as const) {
    const taker = new StreamTaker();
    second.log.subscribeResumable({ connection: taker, after: { epoch: old, seq } });
    await settled(20);
    assertEquals(taker.records.slice(1), [
      { type: "stream.gap", from: `${old}:${seq}`, to: `${epoch}:${to}`, reason: "epoch" },
    ]);
    assertEquals(taker.seqs, numbers(to + 1, 25));
  }
});

Deno.test("resumeCursor() refuses an invalid cursor, and describes a valid one", () => {
  const error = assertThrows(() => resumeCursor("yesterday"), ApexError, 'invalid cursor "yesterday"');
  assert(error instanceof ApexError && error.code === "usage");
});

Deno.test("filters select by type, task and container, and the cursor advances over skipped events", async () => {
  await using dir = await TempDir.make();
  const clock = new FakeClock();
  await using daemon = new JournaledLog(dir.join("a.db"), { clock, log: SMALL });
  const { log } = daemon;
  const takers = new Map(
    [
      { types: ["container.*"] },
      { taskId: "t7" },
      { container: "web" },
      { container: "cafe0" },
      { types: ["nothing.*"] },
    ].map((options) => [options, new StreamTaker()]),
  );
  const subscribe = (all: Map<object, StreamTaker>, seq: number): void => {
    for (const [options, connection] of all) {
      const filter = new EventFilter(options);
      log.subscribeResumable({ connection, filter, after: { epoch: log.epoch, seq }, heartbeatMs: 10_000 });
    }
  };
  subscribe(takers, 0);
  for (let n = 1; n <= 600; n++) {
    log.append(
      n % 50 === 0 ? containerEvent(n === 100 ? "web" : "db", `cafe${n % 4}`) : taskEvent(`t${n % 20}`),
    );
    if (n % 10 === 0) await settled(1);
  }
  await settled();
  const fifties = numbers(1, 12).map((n) => n * 50);
  const expected = [
    fifties,
    numbers(1, 600).filter((n) => n % 20 === 7),
    [100],
    fifties.filter((n) => n % 4 === 0),
    [],
  ];
  assertEquals([...takers.values()].map(({ seqs }) => seqs), expected);
  // The same events from the journal.
  const late = new Map([...takers.keys()].map((options) => [options, new StreamTaker()]));
  subscribe(late, 0);
  await settled(200);
  assertEquals([...late.values()].map(({ seqs }) => seqs), expected);
  clock.advance(10_000);
  await settled();
  for (const taker of [...takers.values(), ...late.values()]) {
    assertEquals(taker.records.at(-1), { type: "stream.heartbeat", cursor: `${log.epoch}:600` });
  }
});

Deno.test("a heartbeat is sent when nothing else was sent for the interval, and only then", async () => {
  const clock = new FakeClock();
  await using log = memoryLog({ clock });
  const taker = new StreamTaker();
  log.subscribeResumable({ connection: taker, heartbeatMs: 1_000 });
  await settled();
  const after = async (ms: number): Promise<string[]> => {
    const { length } = taker.lines;
    clock.advance(ms);
    await settled();
    return taker.lines.slice(length).map(({ type, cursor }) => `${type} ${cursor}`);
  };
  assertEquals(await after(999), []);
  assertEquals(await after(1), [`stream.heartbeat ${log.epoch}:0`]);
  assertEquals(await after(600), []);
  log.append(eventOf("something"));
  await settled();
  assertEquals(await after(999), []);
  assertEquals(await after(1), [`stream.heartbeat ${log.epoch}:1`]);
  // A subscriber that reads nothing has one heartbeat waiting.
  taker.stall();
  await after(1_000);
  await after(10_000);
  taker.goOn();
  await settled();
  const beats = taker.records.filter(({ type }) => type === "stream.heartbeat");
  assertEquals(beats.length, 4);
  await log.close();
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("a limit ends the stream with a record after that number of events, from memory and from the journal", async () => {
  await using dir = await TempDir.make();
  await using daemon = new JournaledLog(dir.join("a.db"), { log: SMALL });
  await append(daemon.log, 300);
  for (const seq of [0, 298]) {
    const taker = new StreamTaker();
    const ended = Promise.withResolvers<CloseReason>();
    daemon.log.subscribeResumable({
      connection: taker,
      after: { epoch: daemon.log.epoch, seq },
      limit: 5,
      onClose: ended.resolve,
    });
    await append(daemon.log, 20);
    assertEquals(await within(5_000, "its end", ended.promise), "finished");
    assertEquals(taker.seqs, numbers(seq + 1, seq + 5));
    assertEquals(taker.lines.at(-1), { type: "stream.bye", reason: "limit" });
    assert(taker.isClosed);
  }
});

Deno.test("EventLog.close() sends a resumable subscriber pending events, then the reason of the end", async () => {
  await using log = memoryLog({ clock: new FakeClock() });
  const [idle, busy] = [new StreamTaker(), new StreamTaker()];
  for (const connection of [idle, busy]) log.subscribeResumable({ connection });
  await settled();
  busy.stall();
  log.append(eventOf("last"));
  const closed = log.close();
  busy.goOn();
  await closed;
  for (const taker of [idle, busy]) {
    assertEquals(taker.seqs, [1]);
    assertEquals(taker.lines.at(-1), { type: "stream.bye", reason: "shutdown" });
  }
});

Deno.test("a resumable subscriber that reads nothing for 30 s is disconnected, even at its first line", async () => {
  const clock = new FakeClock();
  await using log = memoryLog({ clock });
  const taker = new StreamTaker();
  taker.stall();
  const ended: CloseReason[] = [];
  log.subscribeResumable({ connection: taker, heartbeatMs: 1_000, onClose: (reason) => ended.push(reason) });
  await settled();
  for (let seconds = 0; seconds < 30; seconds++) clock.advance(1_000);
  assertEquals(ended, []);
  for (let seconds = 0; seconds < 10; seconds++) clock.advance(1_000);
  assertEquals([ended, log.stats().subscribersDropped], [["stalled"], 1]);
});

Deno.test("a journal that fails changes the epoch of resumable subscribers, and they miss no event", async () => {
  await using dir = await TempDir.make();
  await using daemon = new JournaledLog(dir.join("a.db"));
  const { log } = daemon;
  const old = log.epoch;
  const taker = new StreamTaker();
  log.subscribeResumable({ connection: taker });
  await append(log, 20);
  // Another process is in the middle of a write, so ours is refused.
  using files = new DisposableStack();
  const other = files.adopt(new DatabaseSync(dir.join("a.db")), (database) => database.close());
  other.exec("BEGIN IMMEDIATE");
  await append(log, 5);
  const { headSeq } = log.stats();
  assertEquals(taker.seqs, numbers(1, headSeq));
  const [, gap, ...more] = taker.records;
  assert(gap?.type === "stream.gap" && more.length === 0);
  const seq = daemon.journal.lastSharedSeq(old);
  assertEquals([headSeq, seq], [25, 20]);
  assertEquals(gap, {
    type: "stream.gap",
    from: `${old}:${seq}`,
    to: `${log.epoch}:${seq}`,
    reason: "epoch",
  });
});

Deno.test("every record matches its schema", async () => {
  const clock = new FakeClock();
  await using log = memoryLog({ clock });
  const taker = new StreamTaker();
  const snapshot = { containers: [], sessions: [], tasks: [] };
  const after = { epoch: log.epoch, seq: 5 };
  log.subscribeResumable({ connection: taker, snapshot, after, limit: 1, heartbeatMs: 1_000 });
  await settled();
  clock.advance(1_000);
  await settled();
  await append(log, 1);
  const types = taker.records.map((record) => {
    v.parse(v.strictObject(streamRecordSchemas[record.type].entries), record);
    return record.type;
  });
  assertEquals(types.toSorted(), Object.keys(streamRecordSchemas).toSorted());
});
