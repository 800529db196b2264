import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { RETRY_MS } from "../../../src/storage/database.ts";
import { EventFilter } from "../../../src/storage/journal/event_filter.ts";
import { history, type HistoryOptions } from "../../../src/storage/journal/history.ts";
import {
  containerEvent,
  JournaledLog,
  pastOf,
  settled,
  taskEvent,
} from "../../support/daemons/journaled_log.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** 2,000 events, one a second from 0 s on: of task `t0` … `t9`, and of container `web` every hundredth. */
async function filled(path: string): Promise<JournaledLog> {
  const clock = new FakeClock(0);
  const life = new JournaledLog(path, { clock });
  for (let n = 0; n < 2_000; n++) {
    life.log.append(n % 100 === 7 ? containerEvent("web", `abcdef${n}`) : taskEvent(`t${n % 10}`));
    await Promise.resolve();
    clock.advance(1_000);
  }
  await settled();
  return life;
}

async function seqsOf(life: JournaledLog, options: Partial<HistoryOptions>): Promise<number[]> {
  const seqs: number[] = [];
  for await (const { seq } of history(life.journal, { limit: 1_000_000, ...options })) seqs.push(seq);
  return seqs;
}

Deno.test("history() tells the newest events first, filtered, within a time, up to a limit", async () => {
  await using dir = await TempDir.make();
  await using life = await filled(dir.join("a.db"));
  const all = await seqsOf(life, {});
  assertEquals([all.length, all[0], all.at(-1)], [2_000, 2_000, 1]);
  assertEquals(await seqsOf(life, { limit: 3 }), [2_000, 1_999, 1_998]);
  assertEquals(await seqsOf(life, { limit: 0 }), []);
  const filter = new EventFilter({ taskId: "t3" });
  assertEquals(await seqsOf(life, { filter, limit: 2 }), [1_994, 1_984]);
  assertEquals((await seqsOf(life, { filter })).length, 200);
  const web = new EventFilter({ container: "web", types: ["container.*"] });
  assertEquals(await seqsOf(life, { filter: web, sinceMs: 1_700_000 }), [1_908, 1_808, 1_708]);
  assertEquals(await seqsOf(life, { filter: new EventFilter({ container: "abcdef107" }) }), [108]);
  assertEquals(await seqsOf(life, { sinceMs: 10_000, untilMs: 13_000 }), [13, 12, 11]);
  assertEquals(await seqsOf(life, { filter, untilMs: 20_000 }), [14, 4]);
  assertEquals(await seqsOf(life, { sinceMs: 1e12 }), []);
});

Deno.test("history() lets others have their turn, and ends when it is told to", async () => {
  await using dir = await TempDir.make();
  await using life = await filled(dir.join("a.db"));
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  // Nothing matches: there is no other reason to pause.
  assertEquals(await seqsOf(life, { filter: new EventFilter({ types: ["nothing"] }) }), []);
  clearInterval(timer);
  assert(turns > 0);
  const stop = new AbortController();
  stop.abort(new Error("enough"));
  await assertRejects(() => seqsOf(life, { signal: stop.signal }), Error, "enough");
});

Deno.test("historyInOrder() tells what could not be written as missing, in its place", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  const clock = new FakeClock(0);
  await using life = new JournaledLog(path, { clock });
  const tell = async (...ids: string[]): Promise<void> => {
    for (const id of ids) life.log.append(taskEvent(id));
    await settled();
  };
  await tell("a", "b");
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  await tell("a", "b", "a");
  assertEquals(await pastOf(life.journal), ["1", "2", "3-5"]);
  assertEquals(await pastOf(life.journal, { filter: new EventFilter({ taskId: "a" }) }), ["1", "3-5"]);
  other.exec("ROLLBACK");
  other.close();
  clock.advance(RETRY_MS);
  await tell("a", "b");
  assertEquals(await pastOf(life.journal), ["1", "2", "3-5", "6", "7"]);
  assertEquals(await pastOf(life.journal, { filter: new EventFilter({ taskId: "b" }) }), ["2", "3-5", "7"]);
  assertEquals(await pastOf(life.journal, { filter: new EventFilter({ types: ["nothing"] }) }), ["3-5"]);
  assertEquals(await pastOf(life.journal, { limit: 2 }), ["6", "7"]);
  assertEquals(await pastOf(life.journal, { limit: 3 }), ["2", "3-5", "6", "7"]);
  assertEquals(await pastOf(life.journal, { sinceMs: clock.now() }), ["3-5", "6", "7"]);
  assertEquals(await pastOf(life.journal, { untilMs: clock.now() }), ["1", "2"]);
  clock.advance(1);
  assertEquals(await pastOf(life.journal, { sinceMs: clock.now() }), []);
});

Deno.test("historyInOrder() throws when the journal cannot be read, with a limit and without", async () => {
  await using dir = await TempDir.make();
  await using life = new JournaledLog(dir.join("a.db"));
  life.log.append(taskEvent("a"));
  await settled();
  life.storage[Symbol.dispose]();
  for (const options of [{}, { limit: 1 }]) {
    await assertRejects(() => pastOf(life.journal, options), ApexError, "cannot be read");
  }
});
