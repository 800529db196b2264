/** Events of an earlier run that may be missing are reported as a gap, and no other gap is reported. */
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

async function publish(daemon: JournaledLog, count: number): Promise<void> {
  for (let n = 0; n < count; n++) daemon.log.append(taskEvent(`t${n}`));
  await settled();
  daemon.clock.advance(1);
}

/** What `apex events --since` prints at the start: `4` for an event, `5-7` for a gap. */
async function resumedFrom(daemon: JournaledLog, sinceMs: number): Promise<string[]> {
  const connection = new StreamTaker();
  const after = { epoch: daemon.journal.epoch, seq: daemon.journal.seqBefore(sinceMs) };
  const subscription = daemon.log.subscribeResumable({ connection, after });
  await settled(5);
  subscription.close();
  return connection.lines.slice(1).map((line) => {
    if (line.type !== "stream.gap") return String(line.seq);
    const [from, to] = [line.from, line.to].map((cursor) => Number(String(cursor).split(":")[1]));
    return `${from! + 1}-${to}`;
  });
}

Deno.test("events that a killed run could not write are a gap for the next one", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  const clock = new FakeClock();
  await using daemon = new JournaledLog(path, { clock });
  await publish(daemon, 3);
  const { epoch } = daemon.journal;
  const beganMs = clock.now();
  const lock = holdLock(path);
  await publish(daemon, 2);
  assertEquals(await pastOf(daemon.journal), ["1", "2", "3", "4-5"]);
  await using next = new JournaledLog(killedAt(path, dir.join("b.db")), { clock });
  lock[Symbol.dispose]();
  assertEquals([next.journal.headSeq, next.journal.lastSharedSeq(epoch)], [4, 3]);
  // Without later events, and with some.
  for (const later of [[], ["5", "6"]]) {
    if (later.length > 0) await publish(next, 2);
    assertEquals(await pastOf(next.journal), ["1", "2", "3", "4-4", ...later]);
    assertEquals(await pastOf(next.journal, { sinceMs: beganMs }), ["4-4", ...later]);
    assertEquals(await resumedFrom(next, beganMs), ["4-4", ...later]);
  }
  // The gap stays in place, and the next run adds no other.
  await using third = new JournaledLog(killedAt(dir.join("b.db"), dir.join("c.db")), { clock });
  assertEquals(third.journal.epoch, next.journal.epoch);
  assertEquals(await pastOf(third.journal), ["1", "2", "3", "4-4", "5", "6"]);
});

Deno.test("a run without a journal is a gap between runs with one, whether it could write or not", async () => {
  for (const isLocked of [false, true]) {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    const clock = new FakeClock();
    const live = async (options: JournaledLogOptions): Promise<string[]> => {
      await using daemon = new JournaledLog(path, { ...options, clock });
      const lock = isLocked && options.isKept === false ? holdLock(path) : undefined;
      await publish(daemon, 2);
      lock?.[Symbol.dispose]();
      return daemon.journal.status.state === "on" ? await pastOf(daemon.journal) : [];
    };
    await live({});
    const sinceMs = clock.now();
    await live({ isKept: false });
    assertEquals(await live({}), ["1", "2", "3-3", "4", "5"]);
    await using daemon = new JournaledLog(path, { clock });
    assertEquals(await resumedFrom(daemon, sinceMs), ["3-3", "4", "5"]);
  }
});

Deno.test("a run that could not open its database is a gap for the next one, with a journal or without", async () => {
  for (const isKept of [true, false]) {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    {
      await using daemon = new JournaledLog(path);
      await publish(daemon, 2);
    }
    // A directory at its path cannot be opened.
    await Deno.rename(path, dir.join("kept"));
    await Deno.mkdir(path);
    {
      await using daemon = new JournaledLog(path, { isKept });
      assertEquals(daemon.storage.status.state, "degraded");
      await publish(daemon, 2);
    }
    await Deno.remove(path);
    await Deno.rename(dir.join("kept"), path);
    await using daemon = new JournaledLog(path);
    assertEquals(await pastOf(daemon.journal), ["1", "2", "3-3"]);
  }
});

Deno.test("a healthy run leaves no gap, killed or not, even when a pruning step was refused", async () => {
  await using dir = await TempDir.make();
  await using daemon = new JournaledLog(dir.join("a.db"));
  await publish(daemon, 2);
  const lock = holdLock(dir.join("a.db"));
  daemon.clock.advance(60_000);
  assertEquals(daemon.storage.status.state, "degraded");
  await using next = new JournaledLog(killedAt(dir.join("a.db"), dir.join("b.db")));
  lock[Symbol.dispose]();
  await publish(next, 2);
  assertEquals([next.journal.epoch, await pastOf(next.journal)], [daemon.journal.epoch, [
    "1",
    "2",
    "3",
    "4",
  ]]);
});

Deno.test("a run that could write again has its own gap, and leaves no other", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using daemon = new JournaledLog(path);
  await publish(daemon, 2);
  const lock = holdLock(path);
  await publish(daemon, 3);
  lock[Symbol.dispose]();
  daemon.clock.advance(RETRY_MS);
  await using next = new JournaledLog(killedAt(path, dir.join("b.db")));
  await publish(next, 1);
  assertEquals([next.journal.epoch, await pastOf(next.journal)], [daemon.journal.epoch, [
    "1",
    "2",
    "3-5",
    "6",
  ]]);
});

Deno.test("a database that was removed before the start is a warning and a gap; the very first one is neither", async () => {
  for (const isKept of [true, false]) {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    {
      await using daemon = new JournaledLog(path);
      await publish(daemon, 2);
      assertEquals([daemon.warnings, await pastOf(daemon.journal, { sinceMs: 0 })], [[], ["1", "2"]]);
    }
    await Deno.remove(path);
    {
      await using daemon = new JournaledLog(path, { isKept });
      assertEquals([daemon.warnings.length, daemon.errors.length], [1, 0]);
      assertMatch(daemon.warnings[0]!, /a\.db was removed/);
      await publish(daemon, 1);
      if (!isKept) continue;
      assertEquals(await pastOf(daemon.journal), ["1-1", "2"]);
      assertEquals(await resumedFrom(daemon, 0), ["1-1", "2"]);
    }
    await using daemon = new JournaledLog(path);
    assertEquals([daemon.warnings, await pastOf(daemon.journal)], [[], ["1-1", "2"]]);
  }
});

Deno.test("a database that is deleted or replaced during a run is logged, and a gap for the next run", async () => {
  for (const isReplaced of [true, false]) {
    await using dir = await TempDir.make();
    const path = dir.join("a.db");
    let epoch: string;
    {
      await using daemon = new JournaledLog(path);
      await publish(daemon, 2);
      ({ epoch } = daemon.journal);
      withRaw(path, "PRAGMA wal_checkpoint(TRUNCATE)");
      // A backup from that time.
      await Deno.copyFile(path, dir.join("backup"));
      await publish(daemon, 2);
      if (isReplaced) await Deno.rename(dir.join("backup"), path);
      else await Deno.remove(path);
      daemon.clock.advance(60_000);
      assertEquals([daemon.errors.length, daemon.storage.status.state], [1, "degraded"]);
      await publish(daemon, 2);
      assertEquals([daemon.journal.headSeq, daemon.errors.length], [6, 1]);
    }
    for (const suffix of ["-wal", "-shm"]) await Deno.remove(path + suffix).catch(() => {});
    await using daemon = new JournaledLog(path);
    assertNotEquals(daemon.journal.epoch, epoch);
    assertEquals(daemon.warnings.length, isReplaced ? 0 : 1);
    assert(daemon.errors.length === 0);
    await publish(daemon, 1);
    assertEquals(
      await pastOf(daemon.journal, { sinceMs: 0 }),
      isReplaced ? ["1", "2", "3-3", "4"] : ["1-1", "2"],
    );
  }
});
