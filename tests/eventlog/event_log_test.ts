import { assert, assertEquals, assertLessOrEqual, assertMatch } from "@std/assert";
import type { EventLog } from "../../src/eventlog/event_log.ts";
import type { CloseReason } from "../../src/eventlog/subscription.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { JournaledLog, memoryLog } from "../support/daemons/journaled_log.ts";
import { eventOf, eventOfBytes, lineOf } from "../support/daemons/wire_events.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { randomOf } from "../support/random.ts";
import { readText, SocketPairs } from "../support/socket_pairs.ts";
import { TempDir } from "../support/temp_dir.ts";

const MIB = 1024 * 1024;
/** More than the buffers of a Unix socket hold on any Linux with default settings. */
const MORE_THAN_A_SOCKET_HOLDS = MIB;

/** Resolves in the next turn of the event loop, when writes to sockets with free buffers are done. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Appends blocks of events, one in each turn, until `bytes` are appended. */
async function appendBytes(log: EventLog, bytes: number, lineBytes = 4_096): Promise<string> {
  let text = "";
  const event = eventOfBytes(lineBytes);
  while (text.length < bytes) {
    for (let n = 0; n < 16; n++, text += lineOf(event)) log.append(event);
    await nextTurn();
  }
  return text;
}

Deno.test("EventLog delivers every line in order to each subscriber, and numbers them", async () => {
  await using pairs = await SocketPairs.open();
  await using log = memoryLog({ clock: new FakeClock() });
  const readers = [await pairs.pair(), await pairs.pair(), await pairs.pair()];
  for (const { server } of readers) log.subscribe({ connection: server });
  const events = [{ type: "session.created" } as const, eventOf("zwei"), eventOf("trois é 🎉")];
  assertEquals(events.map((event) => log.append(event)), [1, 2, 3]);
  const expected = events.map(lineOf).join("");
  for (const { client } of readers) assertEquals(await readText(client, expected.slice(-20)), expected);
  assertEquals([log.stats().headSeq, log.stats().oldestSeq, log.stats().eventsPublished], [3, 1, 3]);
  assertMatch(log.epoch, /^[0-9a-f]{16}$/);
});

Deno.test("EventLog.subscribe() starts at the head, also between two appends of one block", async () => {
  await using pairs = await SocketPairs.open();
  await using log = memoryLog({ clock: new FakeClock() });
  const { server, client } = await pairs.pair();
  log.append(eventOf("before"));
  log.subscribe({ connection: server });
  log.append(eventOf("after"));
  assertEquals(await readText(client, "\n"), lineOf(eventOf("after")));
});

Deno.test("EventLog commits a block as one batch before a subscriber gets any of it", async () => {
  await using dir = await TempDir.make();
  await using run = new JournaledLog(dir.join("a.db"));
  const order: string[] = [];
  const write = (bytes: Uint8Array): Promise<number> => {
    order.push(`${bytes.length} bytes, committed up to ${run.journal.status.newestSeq}`);
    return Promise.resolve(bytes.length);
  };
  run.log.subscribe({ connection: { write, close: () => {} } });
  const { length } = lineOf(eventOf("a"));
  run.log.append(eventOf("a"));
  run.log.append(eventOf("b"));
  await nextTurn();
  run.log.append(eventOf("c"));
  await nextTurn();
  assertEquals(order, [`${2 * length} bytes, committed up to 2`, `${length} bytes, committed up to 3`]);
});

Deno.test("EventLog never writes what is not committed, even when a write completes in between", async () => {
  await using dir = await TempDir.make();
  await using run = new JournaledLog(dir.join("a.db"));
  let lines = 0;
  const write = (bytes: Uint8Array): Promise<number> => {
    lines += new TextDecoder().decode(bytes).split("\n").length - 1;
    assertLessOrEqual(lines, run.journal.status.newestSeq);
    // Appended in the microtask in which the pump continues, before the commit.
    if (lines < 50) queueMicrotask(() => run.log.append(eventOf("more")));
    return Promise.resolve(bytes.length);
  };
  run.log.subscribe({ connection: { write, close: () => {} } });
  run.log.append(eventOf("first"));
  while (lines < 50) await nextTurn();
  assertEquals(run.journal.status.newestSeq, 50);
});

Deno.test("EventLog resumes partial writes: a reader that starts late gets the same bytes", async () => {
  await using pairs = await SocketPairs.open();
  await using log = memoryLog({ clock: new FakeClock() });
  const { server, client } = await pairs.pair();
  const subscription = log.subscribe({ connection: server });
  const expected = await appendBytes(log, 2 * MORE_THAN_A_SOCKET_HOLDS, 3_331);
  const [text] = await Promise.all([readText(client), subscription.finish()]);
  assert(text === expected);
});

Deno.test("EventLog delivers random lines, bursts and reading rhythms byte by byte", async (t) => {
  for (let seed = 1; seed <= 5; seed++) {
    await t.step(`seed ${seed}`, async () => {
      const random = randomOf(seed);
      await using pairs = await SocketPairs.open();
      await using log = memoryLog({
        clock: new FakeClock(),
        segmentBytes: 8_192,
        retainedBytes: 64 * MIB,
      });
      const readers = [await pairs.pair(), await pairs.pair(), await pairs.pair()];
      const expected = readers.map(() => "");
      const texts: Promise<string>[] = [];
      const subscriptions = readers.map(({ server }) => log.subscribe({ connection: server }));
      for (let burst = 0; burst < 150; burst++) {
        for (let n = Math.floor(random() * 12); n >= 0; n--) {
          // Sometimes a line longer than a segment or a write.
          const length = random() < 0.02 ? random() * 90_000 : random() * 900;
          const event = eventOf("aé🎉\n".repeat(length / 4));
          log.append(event);
          for (const index of expected.keys()) expected[index] += lineOf(event);
        }
        if (random() < 0.7) await nextTurn();
        // Each reader starts at a different time, the last one at the end.
        if (burst % 40 === 39 && texts.length < 2) texts.push(readText(readers[texts.length]!.client));
      }
      while (texts.length < readers.length) texts.push(readText(readers[texts.length]!.client));
      await Promise.all(subscriptions.map((subscription) => subscription.finish()));
      for (const [index, text] of (await Promise.all(texts)).entries()) assert(text === expected[index]);
    });
  }
});

Deno.test("EventLog ends a subscriber that fell behind at the end of a line, and affects no other", async () => {
  await using pairs = await SocketPairs.open();
  await using log = memoryLog({ clock: new FakeClock() });
  const slow = await pairs.pair();
  const quick = await pairs.pair();
  const ended: CloseReason[] = [];
  log.subscribe({ connection: slow.server, onClose: (reason) => ended.push(reason) });
  const subscription = log.subscribe({ connection: quick.server });
  const quickText = readText(quick.client);
  const expected = await appendBytes(log, 6 * MIB, 3_331);
  assertEquals(ended, []);
  const slowText = await readText(slow.client);
  assertEquals(ended, ["slow"]);
  assert(slowText.endsWith("\n") && slowText.length < expected.length && expected.startsWith(slowText));
  await subscription.finish();
  assert(await quickText === expected);
  assertEquals([log.stats().subscribersDropped, log.stats().subscribers], [1, 0]);
});

Deno.test("EventLog keeps 4 MiB in memory, however far behind a subscriber is", async () => {
  await using pairs = await SocketPairs.open();
  await using log = memoryLog({ clock: new FakeClock() });
  const { server } = await pairs.pair();
  const subscription = log.subscribe({ connection: server });
  await appendBytes(log, 12 * MIB);
  assertLessOrEqual(log.stats().memoryBytes, 4 * MIB);
  assert(log.stats().oldestSeq > 1_000);
  subscription.close();
});

Deno.test("EventLog disconnects a subscriber that reads nothing for 30 s, and has a timer only while a subscriber is busy", async () => {
  await using pairs = await SocketPairs.open();
  const clock = new FakeClock();
  await using log = memoryLog({ clock });
  const stalled = await pairs.pair();
  const quick = await pairs.pair();
  const ended: string[] = [];
  log.subscribe({ connection: stalled.server, onClose: (reason) => ended.push(`stalled: ${reason}`) });
  log.subscribe({ connection: quick.server, onClose: (reason) => ended.push(`quick: ${reason}`) });
  const quickText = readText(quick.client);
  assertEquals(clock.pendingTimers, 0);
  const expected = await appendBytes(log, MORE_THAN_A_SOCKET_HOLDS);
  assertEquals(clock.pendingTimers, 1);
  for (let seconds = 0; seconds < 30; seconds++) clock.advance(1_000);
  assertEquals(ended, []);
  for (let seconds = 0; seconds < 10; seconds++) clock.advance(1_000);
  assertEquals(ended, ["stalled: stalled"]);
  assertEquals([log.stats().subscribersDropped, log.stats().subscribers], [1, 1]);
  clock.advance(60_000);
  assertEquals(clock.pendingTimers, 0);
  await log.close();
  assertEquals(ended, ["stalled: stalled", "quick: finished"]);
  assert(await quickText === expected);
});

Deno.test("EventLog gives a subscriber that fell behind 30 s for its last line, even when it reads a byte now and then", async () => {
  const clock = new FakeClock();
  await using log = memoryLog({ clock });
  const ended: CloseReason[] = [];
  let take = Promise.withResolvers<number>();
  const write = (): Promise<number> => take.promise;
  log.subscribe({ connection: { write, close: () => {} }, onClose: (reason) => ended.push(reason) });
  await appendBytes(log, 5 * MIB, 50_000);
  for (let seconds = 0; seconds < 30; seconds += 5) {
    assertEquals(ended, []);
    clock.advance(5_000);
    const taken = take;
    take = Promise.withResolvers();
    taken.resolve(1);
    await nextTurn();
  }
  clock.advance(5_000);
  assertEquals(ended, ["slow"]);
  take.reject(new Deno.errors.BrokenPipe("the test is over"));
});

Deno.test("EventLog removes a subscriber that has disconnected at the next write", async () => {
  await using pairs = await SocketPairs.open();
  await using log = memoryLog({ clock: new FakeClock() });
  const { server, client } = await pairs.pair();
  const over = Promise.withResolvers<CloseReason>();
  log.subscribe({ connection: server, onClose: over.resolve });
  client.close();
  log.append(eventOf("unread"));
  assertEquals(await over.promise, "gone");
  assertEquals([log.stats().subscribers, log.stats().subscribersDropped], [0, 0]);
});

Deno.test("EventLog.close() delivers pending events, is idempotent, and accepts no later subscriber", async () => {
  await using pairs = await SocketPairs.open();
  const clock = new FakeClock();
  const log = memoryLog({ clock });
  const { server, client } = await pairs.pair();
  log.subscribe({ connection: server });
  log.append(eventOf("last"));
  const [text] = await Promise.all([readText(client), log.close(), log.close()]);
  assertEquals(text, lineOf(eventOf("last")));
  const late = await pairs.pair();
  log.subscribe({ connection: late.server });
  assertEquals(await readText(late.client), "");
  assertEquals(log.append(eventOf("without a subscriber")), 2);
  await log[Symbol.asyncDispose]();
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("EventLog.close() disconnects subscribers that have not read everything in time", async () => {
  await using pairs = await SocketPairs.open();
  const log = memoryLog({ clock: systemClock });
  const { server, client } = await pairs.pair();
  const ended: CloseReason[] = [];
  log.subscribe({ connection: server, onClose: (reason) => ended.push(reason) });
  const expected = await appendBytes(log, MORE_THAN_A_SOCKET_HOLDS);
  await log.close(10);
  assertEquals(ended, ["closed"]);
  const text = await readText(client);
  assert(expected.startsWith(text) && text.length < expected.length);
});
