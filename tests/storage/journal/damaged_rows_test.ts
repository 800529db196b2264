/** Files that SQLite can read, with contents that apex never wrote: a flipped bit, or another program. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { silentLogger } from "../../../src/platform/logger.ts";
import { EventFilter } from "../../../src/storage/journal/event_filter.ts";
import { openStorage } from "../../../src/storage/storage.ts";
import { JournaledLog, pastOf, settled, taskEvent, withRaw } from "../../support/daemons/journaled_log.ts";
import { StreamTaker } from "../../support/daemons/stream_taker.ts";
import { eventOf } from "../../support/daemons/wire_events.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** So small that all but the newest events are read from the journal. */
const SMALL = { segmentBytes: 2_048, retainedBytes: 4_096 };

async function publish(daemon: JournaledLog, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    daemon.log.append(taskEvent(`t${n}`));
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
  Deno.test(`an event row with ${damage} is damage: its reader gets a gap, and the log continues`, async () => {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    await using daemon = new JournaledLog(path, { log: SMALL });
    await publish(daemon, 100);
    const { epoch } = daemon.journal;
    withRaw(path, `UPDATE events SET ${damage} WHERE seq = 20`);
    const taker = new StreamTaker();
    daemon.log.subscribeResumable({ connection: taker, after: { epoch, seq: 10 } });
    await settled(20);
    await publish(daemon, 3);
    await settled(20);
    assertEquals([daemon.errors.length, daemon.storage.status.state, taker.isClosed], [1, "ok", false]);
    assertMatch(daemon.errors[0]!, /cannot use the database .*moved to .*corrupt-/);
    const [, gap] = taker.records;
    assert(gap?.type === "stream.gap");
    assertEquals(gap.from, `${epoch}:10`);
    // The events in memory, and later ones.
    assertEquals(
      taker.seqs,
      Array.from({ length: taker.seqs.length }, (_, n) => 104 - taker.seqs.length + n),
    );
    assert(taker.seqs.length > 3);
    for (const options of [{}, { sinceMs: 0 }]) {
      assertEquals(await pastOf(daemon.journal, options), ["1-100", "101", "102", "103"]);
    }
  });
}

Deno.test("a line with invalid JSON matches no container filter, and ends no stream", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using daemon = new JournaledLog(path, { log: SMALL });
  await publish(daemon, 100);
  withRaw(path, `UPDATE events SET line = cast('{"containerName":"web}' AS BLOB) WHERE seq = 20`);
  const filter = new EventFilter({ container: "web" });
  assertEquals(await pastOf(daemon.journal, { filter }), []);
  assertEquals(daemon.errors, []);
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
  Deno.test(`a file after ${damage} is moved aside at the start, and logged once`, async () => {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    let epoch: string;
    {
      await using daemon = new JournaledLog(path);
      ({ epoch } = daemon.journal);
      await publish(daemon, 3);
    }
    withRaw(path, damage);
    await using daemon = new JournaledLog(path);
    assertNotEquals(daemon.journal.epoch, epoch);
    assertEquals([daemon.errors.length, daemon.warnings.length], [1, 0]);
    assertMatch(daemon.errors[0]!, what);
    assertMatch(daemon.errors[0]!, /moved to/);
    daemon.log.append(eventOf("next"));
    await settled();
    assertEquals([daemon.storage.status.state, daemon.journal.status.state], ["ok", "on"]);
    assertEquals(await pastOf(daemon.journal, { sinceMs: 0 }), ["1-1", "2"]);
  });
}

Deno.test("an invalid time of deletion is damage that is found when it is read", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using daemon = new JournaledLog(path);
  await publish(daemon, 3);
  withRaw(path, "INSERT INTO meta VALUES ('deleted_ms', 'x')");
  assert(Number.isSafeInteger(daemon.journal.seqBefore(0)));
  assertEquals(daemon.errors.length, 1);
});

Deno.test("TaskStore works with a database that contains a number that no double can represent", async () => {
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
