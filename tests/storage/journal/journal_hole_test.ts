/** What may be missing of an earlier life is told of as a gap; what cannot be is not. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { RETRY_MS } from "../../../src/storage/database.ts";
import {
  holdLock,
  JournaledLog,
  type JournaledLogOptions,
  killedAt,
  pastOf,
  settled,
  taskEvent,
  withRaw,
} from "../../support/daemons/journaled_log.ts";
import { StreamTaker } from "../../support/daemons/stream_taker.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { TempDir } from "../../support/temp_dir.ts";

async function tell(life: JournaledLog, count: number): Promise<void> {
  for (let n = 0; n < count; n++) life.log.append(taskEvent(`t${n}`));
  await settled();
  life.clock.advance(1);
}

/** What `apex events --since` prints at once: `4` for an event, `5-7` for a gap. */
async function resumedFrom(life: JournaledLog, sinceMs: number): Promise<string[]> {
  const connection = new StreamTaker();
  const after = { epoch: life.journal.epoch, seq: life.journal.seqBefore(sinceMs) };
  const subscription = life.log.subscribeResumable({ connection, after });
  await settled(5);
  subscription.close();
  return connection.lines.slice(1).map((line) => {
    if (line.type !== "stream.gap") return String(line.seq);
    const [from, to] = [line.from, line.to].map((cursor) => Number(String(cursor).split(":")[1]));
    return `${from! + 1}-${to}`;
  });
}

Deno.test("what a life told and could not write is a gap in the next one, after it was killed", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  const clock = new FakeClock();
  await using life = new JournaledLog(path, { clock });
  await tell(life, 3);
  const { epoch } = life.journal;
  const beganMs = clock.now();
  const lock = holdLock(path);
  await tell(life, 2);
  assertEquals(await pastOf(life.journal), ["1", "2", "3", "4-5"]);
  await using next = new JournaledLog(killedAt(path, dir.join("b.db")), { clock });
  lock[Symbol.dispose]();
  assertEquals([next.journal.headSeq, next.journal.lastSharedSeq(epoch)], [4, 3]);
  // With nothing told since, and with something.
  for (const told of [[], ["5", "6"]]) {
    if (told.length > 0) await tell(next, 2);
    assertEquals(await pastOf(next.journal), ["1", "2", "3", "4-4", ...told]);
    assertEquals(await pastOf(next.journal, { sinceMs: beganMs }), ["4-4", ...told]);
    assertEquals(await resumedFrom(next, beganMs), ["4-4", ...told]);
  }
  // It stays where it is, and no other comes with the next life.
  await using third = new JournaledLog(killedAt(dir.join("b.db"), dir.join("c.db")), { clock });
  assertEquals(third.journal.epoch, next.journal.epoch);
  assertEquals(await pastOf(third.journal), ["1", "2", "3", "4-4", "5", "6"]);
});

Deno.test("a life without a journal is a gap between those with one, whether it could write or not", async () => {
  for (const isLocked of [false, true]) {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    const clock = new FakeClock();
    const live = async (options: JournaledLogOptions): Promise<string[]> => {
      await using life = new JournaledLog(path, { ...options, clock });
      const lock = isLocked && options.isKept === false ? holdLock(path) : undefined;
      await tell(life, 2);
      lock?.[Symbol.dispose]();
      return life.journal.status.state === "on" ? await pastOf(life.journal) : [];
    };
    await live({});
    const sinceMs = clock.now();
    await live({ isKept: false });
    assertEquals(await live({}), ["1", "2", "3-3", "4", "5"]);
    await using life = new JournaledLog(path, { clock });
    assertEquals(await resumedFrom(life, sinceMs), ["3-3", "4", "5"]);
  }
});

Deno.test("a life whose database could not be opened is a gap for the next, with a journal or without", async () => {
  for (const isKept of [true, false]) {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    {
      await using life = new JournaledLog(path);
      await tell(life, 2);
    }
    // A directory in its place cannot be opened.
    await Deno.rename(path, dir.join("kept"));
    await Deno.mkdir(path);
    {
      await using life = new JournaledLog(path, { isKept });
      assertEquals(life.storage.status.state, "degraded");
      await tell(life, 2);
    }
    await Deno.remove(path);
    await Deno.rename(dir.join("kept"), path);
    await using life = new JournaledLog(path);
    assertEquals(await pastOf(life.journal), ["1", "2", "3-3"]);
  }
});

Deno.test("a healthy life leaves no gap, killed or not, nor does a refused step of tidying up", async () => {
  await using dir = await TempDir.make();
  await using life = new JournaledLog(dir.join("a.db"));
  await tell(life, 2);
  const lock = holdLock(dir.join("a.db"));
  life.clock.advance(60_000);
  assertEquals(life.storage.status.state, "degraded");
  await using next = new JournaledLog(killedAt(dir.join("a.db"), dir.join("b.db")));
  lock[Symbol.dispose]();
  await tell(next, 2);
  assertEquals([next.journal.epoch, await pastOf(next.journal)], [life.journal.epoch, ["1", "2", "3", "4"]]);
});

Deno.test("a life that could write again has its own gap, and leaves no other", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using life = new JournaledLog(path);
  await tell(life, 2);
  const lock = holdLock(path);
  await tell(life, 3);
  lock[Symbol.dispose]();
  life.clock.advance(RETRY_MS);
  await using next = new JournaledLog(killedAt(path, dir.join("b.db")));
  await tell(next, 1);
  assertEquals([next.journal.epoch, await pastOf(next.journal)], [life.journal.epoch, [
    "1",
    "2",
    "3-5",
    "6",
  ]]);
});

Deno.test("a database that is gone at the start is a warning and a gap; the first of all is neither", async () => {
  for (const isKept of [true, false]) {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    {
      await using life = new JournaledLog(path);
      await tell(life, 2);
      assertEquals([life.warnings, await pastOf(life.journal, { sinceMs: 0 })], [[], ["1", "2"]]);
    }
    await Deno.remove(path);
    {
      await using life = new JournaledLog(path, { isKept });
      assertEquals([life.warnings.length, life.errors.length], [1, 0]);
      assertMatch(life.warnings[0]!, /a\.db was removed/);
      await tell(life, 1);
      if (!isKept) continue;
      assertEquals(await pastOf(life.journal), ["1-1", "2"]);
      assertEquals(await resumedFrom(life, 0), ["1-1", "2"]);
    }
    await using life = new JournaledLog(path);
    assertEquals([life.warnings, await pastOf(life.journal)], [[], ["1-1", "2"]]);
  }
});

Deno.test("a database that is deleted or replaced under a life is told of, and a gap in the next", async () => {
  for (const isReplaced of [true, false]) {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    let epoch: string;
    {
      await using life = new JournaledLog(path);
      await tell(life, 2);
      ({ epoch } = life.journal);
      withRaw(path, "PRAGMA wal_checkpoint(TRUNCATE)");
      // A backup, as it was then.
      await Deno.copyFile(path, dir.join("backup"));
      await tell(life, 2);
      if (isReplaced) await Deno.rename(dir.join("backup"), path);
      else await Deno.remove(path);
      life.clock.advance(60_000);
      assertEquals([life.errors.length, life.storage.status.state], [1, "degraded"]);
      await tell(life, 2);
      assertEquals([life.journal.headSeq, life.errors.length], [6, 1]);
    }
    for (const suffix of ["-wal", "-shm"]) await Deno.remove(path + suffix).catch(() => {});
    await using life = new JournaledLog(path);
    assertNotEquals(life.journal.epoch, epoch);
    assertEquals(life.warnings.length, isReplaced ? 0 : 1);
    assert(life.errors.length === 0);
    await tell(life, 1);
    assertEquals(
      await pastOf(life.journal, { sinceMs: 0 }),
      isReplaced ? ["1", "2", "3-3", "4"] : ["1-1", "2"],
    );
  }
});
