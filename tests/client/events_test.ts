import { assertEquals, assertRejects } from "@std/assert";
import { type EventsEnd, openEvents } from "../../src/client/events.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { type Script, ScriptedServer, send } from "../support/engines/scripted_server.ts";
import { TempDir } from "../support/temp_dir.ts";

const NEVER = new AbortController().signal;

async function readAll(script: Script): Promise<{ batches: string[]; end: EventsEnd }> {
  await using dir = await TempDir.make();
  await using server = new ScriptedServer(dir.join("s.socket"), script);
  using stream = await openEvents(server.path, { abort: NEVER });
  const batches: string[] = [];
  while (true) {
    const next = await stream.next();
    if (typeof next === "string") return { batches, end: next };
    batches.push(new TextDecoder().decode(next));
  }
}

Deno.test("EventStream assembles whole lines from any chunks", async () => {
  const lines = Array.from({ length: 3_000 }, (_, i) => `{"type":"x","n":${i},"ä":"☃"}\n`).join("");
  const { batches } = await readAll(async (conn) => {
    const bytes = new TextEncoder().encode(lines);
    for (let at = 0, step = 1; at < bytes.length; at += step, step = step * 7 % 4_093 + 1) {
      await conn.write(bytes.subarray(at, at + step));
    }
  });
  assertEquals(batches.join(""), lines);
  assertEquals(batches.every((batch) => batch.endsWith("\n")), true);
});

Deno.test("EventStream returns a line that is longer than its first buffer", async () => {
  const long = `{"type":"${"x".repeat(300_000)}"}\n`;
  const { batches } = await readAll((conn) => send(conn, `{"a":1}\n${long}{"b":2}\n`));
  assertEquals(batches.join(""), `{"a":1}\n${long}{"b":2}\n`);
});

Deno.test("EventStream rejects a line without an end", async () => {
  await using dir = await TempDir.make();
  await using server = new ScriptedServer(dir.join("s.socket"), async (conn) => {
    try {
      await send(conn, "x".repeat(5_000_000));
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error; // the client hangs up, as it should
    }
  });
  using stream = await openEvents(server.path, { abort: NEVER });
  const error = await assertRejects(() => stream.next(), ApexError);
  assertEquals(error.code, "protocol");
});

Deno.test("EventStream drops an unfinished last line", async () => {
  const { batches, end } = await readAll((conn) => send(conn, `{"a":1}\n{"type":"contai`));
  assertEquals(batches, [`{"a":1}\n`]);
  assertEquals(end, "cut");
});

Deno.test("EventStream distinguishes a shutdown from a disconnection by the socket's path", async () => {
  const dropped = await readAll(() => Promise.resolve());
  assertEquals(dropped.end, "cut");
  const shutdown = await readAll(async (conn) => {
    await send(conn, `{"a":1}\n`);
    await Deno.remove((conn.localAddr as Deno.UnixAddr).path);
  });
  assertEquals(shutdown, { batches: [`{"a":1}\n`], end: "shutdown" });
  const impatient = await readAll(async (conn) => {
    await send(conn, `{"a":1}\n{"b"`);
    await Deno.remove((conn.localAddr as Deno.UnixAddr).path);
  });
  assertEquals(impatient, { batches: [`{"a":1}\n`], end: "cut" });
});

Deno.test("EventStream can be disposed twice", async () => {
  await using dir = await TempDir.make();
  await using server = new ScriptedServer(dir.join("s.socket"), () => Promise.resolve());
  const stream = await openEvents(server.path, { abort: NEVER });
  stream[Symbol.dispose]();
  stream[Symbol.dispose]();
});
