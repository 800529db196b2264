/**
 * Measures the journal: publishing with and without it (the log alone, without an engine), a search in a million events, a
 * resumed subscription compared with `tail -c` of the same bytes, and how long the event loop is blocked while a tenth of the
 * events is deleted.
 */
import { setImmediate } from "node:timers";
import { EventLog } from "../src/eventlog/event_log.ts";
import { systemClock } from "../src/platform/clock.ts";
import { silentLogger } from "../src/platform/logger.ts";
import type { WireEvent } from "../src/protocol/wire_event.ts";
import { EventFilter } from "../src/storage/journal/event_filter.ts";
import { history } from "../src/storage/journal/history.ts";
import { openStorage, type Storage } from "../src/storage/storage.ts";
import { median, print, printTable, quantile, verdictOf } from "./report.ts";

const ROUNDS = 3;
/** Events published per turn of the event loop. */
const BURST = 50;
const PUBLISHED = 20_000;
const STORED = 1_000_000;
/** Tasks that run at the same time, each with EVENTS_PER_TASK events. */
const CONCURRENT_TASKS = 20;
const EVENTS_PER_TASK = 100;
const RESUMED = 100_000;
/** The interval at which the event loop is checked for a stall. */
const TICK_MS = 2;

export async function journal(): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "apx-bench-" });
  try {
    await publishing(dir);
    const path = `${dir}/stored.db`;
    {
      using storage = openStorage({ path, clock: systemClock, logger: silentLogger });
      const { log, events } = await stored(storage);
      await using _log = log;
      await lookingBack(events);
      await resuming({ log, dir });
    }
    await deleting(path);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function publishing(dir: string): Promise<void> {
  print(
    `\nPublishing bursts of ${BURST} to subscribers on sockets, thousand events per second, median of ${ROUNDS}`,
  );
  const rows: string[][] = [];
  for (const subscribers of [1, 100]) {
    const rates = { without: [] as number[], with: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      rates.without.push(await publishingRate({ dir, subscribers }));
      using storage = openStorage({
        path: `${dir}/${subscribers}-${round}.db`,
        clock: systemClock,
        logger: silentLogger,
      });
      rates.with.push(await publishingRate({ dir, subscribers, storage }));
    }
    const [without, withIt] = [median(rates.without), median(rates.with)];
    rows.push([
      String(subscribers),
      (without / 1e3).toFixed(0),
      (withIt / 1e3).toFixed(0),
      `${(withIt / without).toFixed(2)}x`,
      `${(1e6 / withIt - 1e6 / without).toFixed(1)} µs`,
    ]);
  }
  printTable(["subscribers", "without journal", "with", "ratio", "added per event"], rows);
}

async function publishingRate(
  { dir, subscribers, storage }: { dir: string; subscribers: number; storage?: Storage },
): Promise<number> {
  const journal = (storage ?? openStorage({ path: ":memory:", clock: systemClock, logger: silentLogger }))
    .openJournal();
  const log = new EventLog({ clock: systemClock, journal });
  const reading: Promise<number>[] = [];
  for (let n = 0; n < subscribers; n++) {
    const { server, client } = await socketPair(dir);
    log.subscribe({ connection: server });
    reading.push(readToEnd(client));
  }
  const startedMs = performance.now();
  for (let n = 0; n < PUBLISHED; n++) {
    log.append(eventOf(n));
    if (n % BURST === BURST - 1) await nextTurn();
  }
  await log.close(60_000);
  await Promise.all(reading);
  return PUBLISHED / (performance.now() - startedMs) * 1e3;
}

/** Fills a journal with a million events, and returns it with its log. */
async function stored(
  storage: Storage,
): Promise<{ log: EventLog; events: ReturnType<Storage["openJournal"]> }> {
  const events = storage.openJournal({ maxBytes: 4 * 1024 ** 3 });
  const log = new EventLog({ clock: systemClock, journal: events });
  const commitMs: number[] = [];
  for (let n = 0; n < STORED; n++) {
    log.append(eventOf(n));
    if (n % 500 !== 499) continue;
    const startedMs = performance.now();
    // The flush is a microtask of this turn.
    await Promise.resolve();
    commitMs.push(performance.now() - startedMs);
    if (n % 5_000 === 4_999) await nextTurn();
  }
  const [p50, p99, max] = [median(commitMs), quantile(commitMs, 0.99), Math.max(...commitMs)];
  print(
    `\nCommits of 500 events: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, max ${max.toFixed(1)} ms ` +
      "(with a checkpoint's fsync)",
  );
  return { log, events };
}

async function lookingBack(events: Parameters<typeof history>[0]): Promise<void> {
  const times: number[] = [];
  let found = 0;
  for (let round = 0; round < 20; round++) {
    const filter = new EventFilter({ taskId: `task-${round * 499}` });
    const startedMs = performance.now();
    for await (const _event of history(events, { filter, limit: 1_000 })) found++;
    times.push(performance.now() - startedMs);
  }
  const verdict = verdictOf({ ratio: quantile(times, 0.99) / 50, target: 1, bound: "atMost" });
  print(
    `History of one task among ${STORED.toLocaleString("en")} events (${found / 20} each): ` +
      `p50 ${median(times).toFixed(1)} ms, max ${Math.max(...times).toFixed(1)} ms, of 50 ms ${verdict}`,
  );
}

async function resuming({ log, dir }: { log: EventLog; dir: string }): Promise<void> {
  const seq = log.stats().headSeq - RESUMED;
  const rates = { apex: [] as number[], tail: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    const { server, client } = await socketPair(dir);
    const startedMs = performance.now();
    log.subscribeResumable({ connection: server, after: { epoch: log.epoch, seq }, limit: RESUMED });
    const bytes = await readToEnd(client, `${dir}/resumed`);
    rates.apex.push(RESUMED / (performance.now() - startedMs) * 1e3);
    rates.tail.push(await tailRate(`${dir}/resumed`, bytes));
  }
  const [apex, tail] = [median(rates.apex), median(rates.tail)];
  print(
    `Resume of ${RESUMED.toLocaleString("en")} events: ${(apex / 1e3).toFixed(0)} thousand per second; ` +
      `tail -c of the same bytes: ${(tail / 1e3).toFixed(0)} (${(apex / tail).toFixed(3)}x)`,
  );
}

/** Measures stalls while old events are deleted and two events per tick are published. */
async function deleting(path: string): Promise<void> {
  const { size } = await Deno.stat(path);
  const maxBytes = Math.floor(size * 0.9);
  using storage = openStorage({ path, clock: systemClock, logger: silentLogger });
  const events = storage.openJournal({ maxBytes });
  const { oldestSeq } = events.status;
  await using log = new EventLog({ clock: systemClock, journal: events });
  const stallsMs: number[] = [];
  const isDeleting = () => events.status.oldestSeq < oldestSeq + STORED / 10;
  for (let n = STORED; isDeleting(); n += 2) {
    const startedMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    stallsMs.push(Math.max(performance.now() - startedMs - TICK_MS, 0));
    log.append(eventOf(n));
    log.append(eventOf(n + 1));
  }
  const verdict = verdictOf({ ratio: quantile(stallsMs, 0.99) / 20, target: 1, bound: "atMost" });
  print(
    `Deleting ${(STORED / 10).toLocaleString("en")} events blocks the event loop for p50 ${
      median(stallsMs).toFixed(1)
    } ms, ` +
      `p99 ${quantile(stallsMs, 0.99).toFixed(1)} ms, max ${
        Math.max(...stallsMs).toFixed(1)
      } ms, of 20 ms ${verdict}`,
  );
}

async function tailRate(path: string, bytes: number): Promise<number> {
  const startedMs = performance.now();
  const child = new Deno.Command("tail", { args: ["-c", String(bytes), path], stdout: "piped" }).spawn();
  let count = 0;
  for await (const chunk of child.stdout) count += chunk.length;
  await child.status;
  if (count !== bytes) throw new Error(`tail printed ${count} of ${bytes} bytes`);
  return RESUMED / (performance.now() - startedMs) * 1e3;
}

function eventOf(n: number): WireEvent {
  const wave = Math.floor(n / (CONCURRENT_TASKS * EVENTS_PER_TASK));
  const task = wave * CONCURRENT_TASKS + n % CONCURRENT_TASKS;
  return {
    type: "container.died",
    containerId: `${String(task).padStart(8, "0")}${"c".repeat(56)}`,
    containerName: `apex-task-task-${task}`,
    image: "busybox:local",
    taskId: `task-${task}`,
    timestamp: "2026-01-01T00:00:00.000Z",
    exitCode: 0,
    oomKilled: false,
  };
}

async function socketPair(dir: string): Promise<{ server: Deno.UnixConn; client: Deno.UnixConn }> {
  const path = `${dir}/s`;
  using listener = Deno.listen({ transport: "unix", path });
  const accepted = listener.accept();
  const client = await Deno.connect({ transport: "unix", path });
  const server = await accepted;
  await Deno.remove(path).catch((error) => {
    // Newer versions of Deno remove the socket when the listener is closed, which may have happened already.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  return { server, client };
}

/** Returns how many bytes were read. With `copyPath` they are written to that file. */
async function readToEnd(client: Deno.UnixConn, copyPath?: string): Promise<number> {
  const buffer = new Uint8Array(256 * 1024);
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for (let count = await client.read(buffer); count !== null; count = await client.read(buffer)) {
    bytes += count;
    if (copyPath !== undefined) pieces.push(buffer.slice(0, count));
  }
  client.close();
  if (copyPath !== undefined) {
    await Deno.writeFile(copyPath, new Blob(pieces as Uint8Array<ArrayBuffer>[]).stream());
  }
  return bytes;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
