/** A session event consists of its type on a bare stream, and has all of its fields everywhere else. */
import { assert, assertEquals } from "@std/assert";
import type { WireEvent } from "../../src/protocol/wire_event.ts";
import { JournaledLog, settled, taskEvent, withRaw } from "../support/daemons/journaled_log.ts";
import { StreamTaker } from "../support/daemons/stream_taker.ts";
import { eventOf, eventOfBytes, lineOf } from "../support/daemons/wire_events.ts";
import { TempDir } from "../support/temp_dir.ts";

const SMALL = { segmentBytes: 4_096, retainedBytes: 16_384 };
const ALL = { maxRows: 1_000_000, maxBytes: 1e9 };

const created: WireEvent = {
  type: "session.created",
  session: "dev",
  timestamp: "2026-01-01T00:00:00.000Z",
};

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

Deno.test("a session event has its fields on the resumable stream and in the journal, and none on the bare stream", async () => {
  await using dir = await TempDir.make();
  await using run = new JournaledLog(dir.join("a.db"));
  const [bare, resumable] = [new StreamTaker(), new StreamTaker()];
  run.log.subscribe({ connection: bare });
  run.log.subscribeResumable({ connection: resumable });
  for (const event of [taskEvent("t1"), created, taskEvent("t2")]) run.log.append(event);
  await settled();
  assertEquals(bare.text, [
    JSON.stringify(taskEvent("t1")),
    '{"type":"session.created"}',
    JSON.stringify(taskEvent("t2")),
  ]);
  assertEquals(resumable.lines.slice(1), [
    { seq: 1, ...taskEvent("t1") },
    { seq: 2, ...created },
    { seq: 3, ...taskEvent("t2") },
  ]);
  const journaled = run.journal.read({ afterSeq: 0, ...ALL })!;
  assertEquals(journaled.map(({ line }) => JSON.parse(textOf(line))), [
    taskEvent("t1"),
    created,
    taskEvent("t2"),
  ]);
});

Deno.test("a resumed subscriber gets the fields of session events from memory and from the journal", async () => {
  await using dir = await TempDir.make();
  await using run = new JournaledLog(dir.join("a.db"), { log: SMALL });
  const sent: WireEvent[] = [];
  for (let n = 0; n < 200; n++) {
    const event = n % 2 === 0 ? { ...created, session: `s${n}` } : eventOfBytes(250);
    sent.push(event);
    run.log.append(event);
    if (n % 10 === 9) await settled(1);
  }
  assert(run.log.stats().oldestSeq > 100, "the journal is needed");
  const taker = new StreamTaker();
  run.log.subscribeResumable({ connection: taker, after: { epoch: run.log.epoch, seq: 0 } });
  await settled(20);
  assertEquals(taker.lines.slice(1), sent.map((event, index) => ({ seq: index + 1, ...event })));
});

Deno.test("a session event of an earlier version is read as it was written", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  {
    await using run = new JournaledLog(path);
    run.log.append(created);
    run.log.append(eventOf("after"));
  }
  withRaw(path, `UPDATE events SET line = CAST('{"type":"session.created"}' AS BLOB) WHERE seq = 1`);
  await using run = new JournaledLog(path);
  const taker = new StreamTaker();
  run.log.subscribeResumable({ connection: taker, after: { epoch: run.log.epoch, seq: 0 } });
  await settled();
  assertEquals(taker.lines.slice(1), [
    { seq: 1, type: "session.created" },
    { seq: 2, ...eventOf("after") },
  ]);
});

Deno.test("the fields of session events count for the log's memory, and are evicted with it", async () => {
  await using dir = await TempDir.make();
  await using run = new JournaledLog(dir.join("a.db"), { log: SMALL });
  const empty = run.log.stats().memoryBytes;
  const big = { ...created, session: "s".repeat(1_000) };
  run.log.append(big);
  await settled(1);
  assertEquals(run.log.stats().memoryBytes - empty, lineOf(big).length);
  for (let n = 0; n < 100; n++) {
    run.log.append(big);
    run.log.append(eventOfBytes(1_000));
    await settled(1);
  }
  // At most one full segment is kept beyond the limit.
  assert(run.log.stats().memoryBytes <= SMALL.retainedBytes + 2 * SMALL.segmentBytes);
});
