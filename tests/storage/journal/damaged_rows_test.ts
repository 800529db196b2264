/** Files that SQLite finds whole, with something in them that apex never wrote: a flipped bit, or a stranger. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { silentLogger } from "../../../src/platform/logger.ts";
import { EventFilter } from "../../../src/storage/journal/event_filter.ts";
import { openStorage } from "../../../src/storage/storage.ts";
import { JournaledLog, pastOf, settled, taskEvent, withRaw } from "../../support/daemons/journaled_log.ts";
import { StreamTaker } from "../../support/daemons/stream_taker.ts";
import { eventOf } from "../../support/daemons/wire_events.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** So little that all but the newest is read from the journal. */
const SMALL = { segmentBytes: 2_048, retainedBytes: 4_096 };

async function tell(life: JournaledLog, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    life.log.append(taskEvent(`t${n}`));
    await settled(1);
  }
}

for (
  const damage of [
    "line = cast(line AS TEXT)",
    "line = 7",
    "line = x''",
    "line = cast('{\"a\":1' AS BLOB)",
    "line = cast('[1,2,3]' AS BLOB)",
    "line = cast('{\"a\":1}' || char(10) || '{\"b\":2}' AS BLOB)",
    "type = x'00'",
    "task_id = x'00'",
    "container_id = x'00'",
    "time_ms = 'soon'",
    "time_ms = -1",
    "time_ms = 9e18",
  ]
) {
  Deno.test(`an event row with ${damage} is damage: who reads it is told of a gap, and the log goes on`, async () => {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    await using life = new JournaledLog(path, { log: SMALL });
    await tell(life, 100);
    const { epoch } = life.journal;
    withRaw(path, `UPDATE events SET ${damage} WHERE seq = 20`);
    const taker = new StreamTaker();
    life.log.subscribeResumable({ connection: taker, after: { epoch, seq: 10 } });
    await settled(20);
    await tell(life, 3);
    await settled(20);
    assertEquals([life.errors.length, life.storage.status.state, taker.isClosed], [1, "ok", false]);
    assertMatch(life.errors[0]!, /cannot use the database .*moved to .*corrupt-/);
    const [, gap] = taker.records;
    assert(gap?.type === "stream.gap");
    assertEquals(gap.from, `${epoch}:10`);
    // What memory has, and what came later.
    assertEquals(
      taker.seqs,
      Array.from({ length: taker.seqs.length }, (_, n) => 104 - taker.seqs.length + n),
    );
    assert(taker.seqs.length > 3);
    for (const options of [{}, { sinceMs: 0 }]) {
      assertEquals(await pastOf(life.journal, options), ["1-100", "101", "102", "103"]);
    }
  });
}

Deno.test("a line that is no JSON inside belongs to no container, and ends nobody's stream", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using life = new JournaledLog(path, { log: SMALL });
  await tell(life, 100);
  withRaw(path, `UPDATE events SET line = cast('{"containerName":"web}' AS BLOB) WHERE seq = 20`);
  const filter = new EventFilter({ container: "web" });
  assertEquals(await pastOf(life.journal, { filter }), []);
  assertEquals(life.errors, []);
});

for (
  const [damage, what] of [
    ["UPDATE meta SET value = '[1]' WHERE key = 'past_epochs'", /past_epochs/],
    ["UPDATE meta SET value = '[[\"a\",-1]]' WHERE key = 'past_epochs'", /past_epochs/],
    ["UPDATE meta SET value = '[' WHERE key = 'past_epochs'", /past_epochs/],
    ["UPDATE meta SET value = 'x' WHERE key = 'floor_seq'", /floor_seq/],
    ["UPDATE meta SET value = '99999999999999999999' WHERE key = 'floor_seq'", /floor_seq/],
    ["UPDATE meta SET value = 'x' WHERE key = 'epoch'", /epoch/],
    ["UPDATE meta SET value = x'3031' WHERE key = 'epoch'", /epoch/],
    ["UPDATE meta SET value = '2' WHERE key = 'is_clean'", /is_clean/],
    ["UPDATE meta SET value = 'x' WHERE key = 'schema_version'", /schema/],
    ["UPDATE events SET seq = 9007199254740992 WHERE seq = 3", /large/],
    ["UPDATE events SET seq = 9223372036854775807 WHERE seq = 3", /large/],
    ["UPDATE events SET seq = 9007199254740991 WHERE seq = 3", /number 9007199254740991/],
    ["UPDATE events SET seq = -1 WHERE seq = 1", /number -1/],
    ["UPDATE events SET time_ms = 'x' WHERE seq = 3", /time x/],
  ] as const
) {
  Deno.test(`a file in which someone has said ${damage} is moved aside at the start, with one loud line`, async () => {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    let epoch: string;
    {
      await using life = new JournaledLog(path);
      ({ epoch } = life.journal);
      await tell(life, 3);
    }
    withRaw(path, damage);
    await using life = new JournaledLog(path);
    assertNotEquals(life.journal.epoch, epoch);
    assertEquals([life.errors.length, life.warnings.length], [1, 0]);
    assertMatch(life.errors[0]!, what);
    assertMatch(life.errors[0]!, /moved to/);
    life.log.append(eventOf("next"));
    await settled();
    assertEquals([life.storage.status.state, life.journal.status.state], ["ok", "on"]);
    assertEquals(await pastOf(life.journal, { sinceMs: 0 }), ["1-1", "2"]);
  });
}

Deno.test("a time of deletion that is none is damage, noticed when it is asked for", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using life = new JournaledLog(path);
  await tell(life, 3);
  withRaw(path, "INSERT INTO meta VALUES ('deleted_ms', 'x')");
  assert(Number.isSafeInteger(life.journal.seqBefore(0)));
  assertEquals(life.errors.length, 1);
});

Deno.test("whoever only keeps rows is not held up by a number that no double holds", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  const options = { path, clock: new FakeClock(), logger: silentLogger };
  openStorage(options)[Symbol.dispose]();
  withRaw(
    path,
    `INSERT INTO tasks (task_id, state, created_ms, cleanup_pending, spec)
      VALUES ('t', 'running', 9223372036854775807, 0, '{}')`,
  );
  using storage = openStorage(options);
  assertEquals([storage.tasks.unfinished(), storage.status.state], [[], "ok"]);
  assertMatch(storage.status.error!, /moved to/);
});
