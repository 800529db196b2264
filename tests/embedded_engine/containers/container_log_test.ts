import { assertEquals } from "@std/assert";
import { ContainerLog } from "../../../src/embedded_engine/containers/container_log.ts";
import { RECORD_HEADER_BYTES } from "../../../src/embedded_engine/processes/output_record.ts";
import { TempDir } from "../../support/temp_dir.ts";

const LINE_BYTES = "00\n".length;
/** A file holds five lines. */
const MAX_FILE_BYTES = 5 * (RECORD_HEADER_BYTES + LINE_BYTES);

const lineOf = (number: number) => `${String(number).padStart(2, "0")}\n`;
const linesFrom = (first: number, end: number) =>
  Array.from({ length: end - first }, (_, index) => lineOf(first + index));

function openLog(dir: string): ContainerLog {
  let timeNano = 0n;
  return new ContainerLog({ dir, nextTime: () => ++timeNano, maxFileBytes: MAX_FILE_BYTES });
}

async function appendLines(log: ContainerLog, first: number, end: number): Promise<void> {
  for (const line of linesFrom(first, end)) await log.append("stdout", new TextEncoder().encode(line));
}

async function readLines(log: ContainerLog, follow = false): Promise<string[]> {
  const lines: string[] = [];
  const { signal: abort } = new AbortController();
  for await (const records of log.read({ follow, abort })) lines.push(...textsOf(records));
  return lines;
}

function textsOf(records: Iterable<{ readonly payload: Uint8Array }>): string[] {
  return [...records].map(({ payload }) => new TextDecoder().decode(payload));
}

async function filesIn(dir: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).sort();
}

Deno.test("ContainerLog keeps the newest two files, and drops the oldest lines first", async () => {
  await using temp = await TempDir.make();
  const log = openLog(temp.path);
  assertEquals(await readLines(log), []);
  await appendLines(log, 0, 5);
  assertEquals(await filesIn(temp.path), ["0.log"]);
  await appendLines(log, 5, 10);
  assertEquals(await readLines(log), linesFrom(0, 10));
  await appendLines(log, 10, 12);
  assertEquals(await filesIn(temp.path), ["1.log", "2.log"]);
  assertEquals(await readLines(log), linesFrom(5, 12));
});

Deno.test("ContainerLog.read() follows over files, and ends with the run", async () => {
  await using temp = await TempDir.make();
  const log = openLog(temp.path);
  log.beginRun();
  const reader = log.read({ follow: true, abort: new AbortController().signal });
  for (const line of linesFrom(0, 23)) { // One at a time, so that the reader is never two files behind.
    const next = reader.next();
    await log.append("stderr", new TextEncoder().encode(line));
    assertEquals(textsOf((await next).value!), [line]);
  }
  await log.append("stdout", new TextEncoder().encode("no end"));
  const last = reader.next();
  await log.endRun();
  assertEquals(textsOf((await last).value!), ["no end"]);
  assertEquals((await reader.next()).done, true);
});

Deno.test("a reader that is too slow for two files continues with the oldest line that is kept", async () => {
  await using temp = await TempDir.make();
  const log = openLog(temp.path);
  log.beginRun();
  await appendLines(log, 0, 1);
  const reader = log.read({ follow: true, abort: new AbortController().signal });
  const seen = textsOf((await reader.next()).value!);
  await appendLines(log, 1, 23);
  await log.endRun();
  for await (const records of reader) seen.push(...textsOf(records));
  assertEquals(seen.slice(0, 1), linesFrom(0, 1));
  assertEquals(seen.slice(-8), linesFrom(15, 23));
});

Deno.test("ContainerLog.read() without follow ends where the log ended at the call", async () => {
  await using temp = await TempDir.make();
  const log = openLog(temp.path);
  log.beginRun();
  await appendLines(log, 0, 7);
  const reader = log.read({ follow: false, abort: new AbortController().signal });
  const seen = textsOf((await reader.next()).value!);
  await appendLines(log, 7, 9);
  for await (const records of reader) seen.push(...textsOf(records));
  assertEquals(seen, linesFrom(0, 7));
});

Deno.test("ContainerLog.read() ends at once when `abort` aborts", async () => {
  await using temp = await TempDir.make();
  const log = openLog(temp.path);
  log.beginRun();
  const stop = new AbortController();
  const reader = log.read({ follow: true, abort: stop.signal });
  const next = reader.next();
  stop.abort();
  assertEquals((await next).done, true);
});
