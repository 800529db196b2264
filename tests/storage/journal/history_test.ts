import { assert, assertEquals, assertGreaterOrEqual, assertRejects } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { RETRY_MS } from "../../../src/storage/database.ts";
import { EventFilter } from "../../../src/storage/journal/event_filter.ts";
import { history, type HistoryOptions, isEvent } from "../../../src/storage/journal/history.ts";
import {
  containerEvent,
  JournaledLog,
  pastOf,
  settled,
  taskEvent,
} from "../../support/daemons/journaled_log.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { SocketPairs } from "../../support/socket_pairs.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** 2,000 events, one a second from 0 s on: of tasks `t0` to `t9`, and every hundredth of a container `web`. */
async function filled(path: string): Promise<JournaledLog> {
  const clock = new FakeClock(0);
  const run = new JournaledLog(path, { clock });
  for (let n = 0; n < 2_000; n++) {
    run.log.append(n % 100 === 7 ? containerEvent("web", `abcdef${n}`) : taskEvent(`t${n % 10}`));
    // Committed with the time of its append.
    run.storage.flush();
    clock.advance(1_000);
  }
  await settled();
  return run;
}

async function seqsOf(run: JournaledLog, options: HistoryOptions): Promise<number[]> {
  const past = await Array.fromAsync(history(run.journal, options));
  return past.filter(isEvent).map(({ seq }) => seq);
}

Deno.test("history() returns events in order, filtered, within a period, up to a limit", async () => {
  await using dir = await TempDir.make();
  await using run = await filled(dir.join("a.db"));
  const all = await seqsOf(run, {});
  assertEquals([all.length, all[0], all.at(-1)], [2_000, 1, 2_000]);
  assertEquals(await seqsOf(run, { limit: 3 }), [1_998, 1_999, 2_000]);
  assertEquals(await seqsOf(run, { limit: 0 }), []);
  const filter = new EventFilter({ taskId: "t3" });
  assertEquals(await seqsOf(run, { filter, limit: 2 }), [1_984, 1_994]);
  assertEquals((await seqsOf(run, { filter })).length, 200);
  const web = new EventFilter({ container: "web", types: ["container.*"] });
  assertEquals(await seqsOf(run, { filter: web, sinceMs: 1_700_000 }), [1_708, 1_808, 1_908]);
  assertEquals(await seqsOf(run, { filter: web, sinceMs: 1_700_000, limit: 9 }), [1_708, 1_808, 1_908]);
  assertEquals(await seqsOf(run, { filter: new EventFilter({ container: "abcdef107" }) }), [108]);
  assertEquals(await seqsOf(run, { sinceMs: 10_000, untilMs: 13_000 }), [11, 12, 13]);
  assertEquals(await seqsOf(run, { sinceMs: 10_000, untilMs: 13_000, limit: 2 }), [12, 13]);
  assertEquals(await seqsOf(run, { filter, untilMs: 20_000 }), [4, 14]);
  assertEquals(await seqsOf(run, { sinceMs: 1e12 }), []);
});

Deno.test("history() lets the event loop run, and throws the reason of its AbortSignal", async () => {
  await using dir = await TempDir.make();
  await using run = await filled(dir.join("a.db"));
  for (const limit of [{}, { limit: 1 }]) {
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    // No event matches, so the consumer causes no pause.
    const filter = new EventFilter({ types: ["nothing"] });
    assertEquals(await seqsOf(run, { filter, ...limit }), []);
    clearInterval(timer);
    assert(turns > 0);
    const abort = AbortSignal.abort(new Error("enough"));
    await assertRejects(() => seqsOf(run, { abort, ...limit }), Error, "enough");
  }
});

Deno.test("history() reports events that could not be written as missing, in their place", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  const clock = new FakeClock(0);
  await using run = new JournaledLog(path, { clock });
  const publish = async (...ids: string[]): Promise<void> => {
    for (const id of ids) run.log.append(taskEvent(id));
    await settled();
  };
  await publish("a", "b");
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  await publish("a", "b", "a");
  assertEquals(await pastOf(run.journal), ["1", "2", "3-5"]);
  assertEquals(await pastOf(run.journal, { filter: new EventFilter({ taskId: "a" }) }), ["1", "3-5"]);
  other.exec("ROLLBACK");
  other.close();
  clock.advance(RETRY_MS);
  await publish("a", "b");
  assertEquals(await pastOf(run.journal), ["1", "2", "3-5", "6", "7"]);
  assertEquals(await pastOf(run.journal, { filter: new EventFilter({ taskId: "b" }) }), ["2", "3-5", "7"]);
  assertEquals(await pastOf(run.journal, { filter: new EventFilter({ types: ["nothing"] }) }), ["3-5"]);
  assertEquals(await pastOf(run.journal, { limit: 2 }), ["6", "7"]);
  assertEquals(await pastOf(run.journal, { limit: 3 }), ["2", "3-5", "6", "7"]);
  assertEquals(await pastOf(run.journal, { sinceMs: clock.now() }), ["3-5", "6", "7"]);
  assertEquals(await pastOf(run.journal, { untilMs: clock.now() }), ["1", "2"]);
  clock.advance(1);
  assertEquals(await pastOf(run.journal, { sinceMs: clock.now() }), []);
});

Deno.test("history() throws when the journal cannot be read, with a limit and without", async () => {
  await using dir = await TempDir.make();
  await using run = new JournaledLog(dir.join("a.db"));
  run.log.append(taskEvent("a"));
  await settled();
  run.storage[Symbol.dispose]();
  for (const options of [{}, { limit: 1 }]) {
    await assertRejects(() => pastOf(run.journal, options), ApexError, "cannot be read");
  }
});

Deno.test("history() lets a connection be served between any two pieces", async () => {
  await using dir = await TempDir.make();
  await using run = new JournaledLog(dir.join("a.db"), { clock: new FakeClock(0) });
  for (let n = 0; n < 20_000; n++) run.log.append(taskEvent(`t${n % 10}`));
  await settled();
  await using pairs = await SocketPairs.open();
  const { server, client } = await pairs.pair();
  let served = 0;
  const serving = (async () => {
    const byte = new Uint8Array(1);
    while (await server.read(byte) !== null) await server.write(byte);
  })();
  let isRead = false;
  const asking = (async () => {
    const byte = new Uint8Array(1);
    for (; !isRead; served++) {
      await client.write(byte);
      await client.read(byte);
    }
    client.close();
  })();
  let pieces = 0;
  for await (const past of history(run.journal)) if (isEvent(past) && past.seq % 512 === 0) pieces++;
  isRead = true;
  await Promise.all([asking, serving]);
  assertGreaterOrEqual(served, pieces);
});
