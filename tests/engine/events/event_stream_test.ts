import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { type EngineEvent, parseEngineEvent, readEvents } from "../../../src/engine/events/event_stream.ts";
import { type Logger, silentLogger } from "../../../src/platform/logger.ts";

const line = (id: string, extra: Record<string, unknown> = {}) =>
  JSON.stringify({
    Type: "container",
    Action: "die",
    Actor: { ID: id, Attributes: { name: "wéb 🐳", exitCode: "3" } },
    time: 1_700_000_000,
    timeNano: 1_700_000_000_123_456_768,
    ...extra,
  });

/** Splits the bytes into pieces of `size`. */
function pieces(bytes: Uint8Array, size: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at += size));
    },
  });
}

async function collect(
  text: string | Uint8Array,
  { size = 65_536, maxLineBytes = 1_000, logger = silentLogger as Logger } = {},
): Promise<EngineEvent[]> {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const events: EngineEvent[] = [];
  for await (const event of readEvents(pieces(bytes, size), { logger, maxLineBytes })) events.push(event);
  return events;
}

Deno.test("parseEngineEvent() reads the fields that all engines have", () => {
  assertEquals(parseEngineEvent(line("a")), {
    type: "container",
    action: "die",
    id: "a",
    attributes: { name: "wéb 🐳", exitCode: "3" },
    timeNano: 1_700_000_000_123_456_768,
  });
  assertEquals(parseEngineEvent(line("a", { HealthStatus: "healthy" }))?.healthStatus, "healthy");
  assertEquals(parseEngineEvent(line("a", { HealthStatus: "" }))?.healthStatus, undefined);
  assertEquals(parseEngineEvent(line("a", { timeNano: undefined }))?.timeNano, 1_700_000_000e9);
  assertEquals(parseEngineEvent(line("a", { Actor: { ID: "b", Attributes: null } }))?.attributes, {});
  assertEquals(parseEngineEvent(`\x1e${line("a")}`)?.id, "a");
  assertEquals(parseEngineEvent(`${line("a")}\r`)?.id, "a");
});

Deno.test("parseEngineEvent() skips empty lines and the exec events of probes", () => {
  for (const text of ["", "\r", "\x1e"]) assertEquals(parseEngineEvent(text), undefined);
  for (const Action of ["exec_create: sh -c true", "exec_start: sh", "exec_die", "exec_died", "exec"]) {
    assertEquals(parseEngineEvent(line("a", { Action })), undefined, Action);
  }
});

Deno.test("parseEngineEvent() throws when the line is not an event", () => {
  const bad = [
    "not json",
    '{"Type":"contai',
    "null",
    "[]",
    "42",
    "{}",
    line("a", { Actor: undefined }),
    line("a", { Actor: [] }),
    line("a", { Actor: { ID: 5 } }),
    line("a", { Actor: { ID: "a", Attributes: [] } }),
    line("a", { Actor: { ID: "a", Attributes: { n: 5 } } }),
    line("a", { Action: 5 }),
    line("a", { Type: null }),
    line("a", { time: undefined, timeNano: "5" }),
  ];
  for (const text of bad) assertThrows(() => parseEngineEvent(text), SyntaxError, "", text);
});

Deno.test("readEvents() decodes events from chunks of any size, also when a character is split", async () => {
  const text = `${line("a")}\n\x1e${line("b")}\n\n${line("c")}\r\n${line("d")}`;
  const whole = await collect(text);
  assertEquals(whole.map(({ id }) => id), ["a", "b", "c", "d"]);
  for (const size of [1, 2, 3, 5, 64, 199]) {
    assertEquals(await collect(text, { size }), whole, `pieces of ${size}`);
  }
});

Deno.test("readEvents() skips and logs invalid lines, and loses no event after them", async () => {
  const said: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => void said.push(message) };
  const text = `${line("a")}\n{"Type":"conta\n${line("b")}\nnull\n${line("c")}\n`;
  assertEquals((await collect(text, { logger })).map(({ id }) => id), ["a", "b", "c"]);
  assertEquals(said.length, 2);
  assertStringIncludes(said[0]!, '{"Type":"conta');
});

Deno.test("readEvents() logs only the first invalid lines", async () => {
  const said: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => void said.push(message) };
  assertEquals((await collect("junk\n".repeat(5_000) + line("a"), { logger })).length, 1);
  assertEquals(said.length, 10);
});

Deno.test("readEvents() accepts bytes that are not UTF-8", async () => {
  const good = new TextEncoder().encode(`${line("a")}\n`);
  const bytes = new Uint8Array([...good, 0xff, 0xc3, 0x28, 0x0a, ...good]);
  assertEquals((await collect(bytes)).length, 2);
});

Deno.test("readEvents() drops an overlong line in pieces of any size, and keeps the next line", async () => {
  const said: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => void said.push(message) };
  const huge = line("huge", { pad: "x".repeat(5_000) });
  for (const size of [1, 7, 999, 1_000, 1_001, 65_536]) {
    said.length = 0;
    const events = await collect(`${line("a")}\n${huge}\n${line("b")}\n${huge}\n${line("c")}\n`, {
      size,
      logger,
    });
    assertEquals(events.map(({ id }) => id), ["a", "b", "c"], `pieces of ${size}`);
    assertEquals(said.filter((text) => text.includes("more than 1000")).length, 2, `pieces of ${size}`);
  }
});

Deno.test("readEvents() accepts a line of exactly the limit, and never buffers more of an endless one", async () => {
  const exact = line("a", { pad: "" });
  const limit = new TextEncoder().encode(exact).length;
  assertEquals((await collect(`${exact}\n`, { maxLineBytes: limit })).length, 1);
  assertEquals((await collect(`${exact}\n`, { maxLineBytes: limit - 1 })).length, 0);
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent++ < 2_000) return controller.enqueue(new Uint8Array(65_536).fill(120));
      controller.enqueue(new TextEncoder().encode(`\n${line("after")}\n`));
      controller.close();
    },
  });
  const before = Deno.memoryUsage().heapUsed + Deno.memoryUsage().external;
  const ids: string[] = [];
  for await (const event of readEvents(endless, { logger: silentLogger })) ids.push(event.id);
  const grown = Deno.memoryUsage().heapUsed + Deno.memoryUsage().external - before;
  assertEquals(ids, ["after"]);
  assert(grown < 100e6, `it grew by ${grown} bytes while 131 MB passed`);
});

Deno.test("readEvents() throws what its body throws, after the events before it", async () => {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(`${line("a")}\n{"Type":`));
    },
    pull(controller) {
      controller.error(new TypeError("cut"));
    },
  });
  await assertRejects(
    async () => {
      for await (const _ of readEvents(body, { logger: silentLogger }));
    },
    TypeError,
    "cut",
  );
});

Deno.test("readEvents() cancels its body when the iteration is left", async () => {
  const cancelled = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new TextEncoder().encode(`${line("a")}\n`)),
    cancel: () => cancelled.resolve(),
  });
  for await (const _ of readEvents(body, { logger: silentLogger })) break;
  await cancelled.promise;
});

Deno.test("readEvents() ends when a silent stream is aborted, and cancels the body", async () => {
  const cancelled = Promise.withResolvers<void>();
  const ending = new AbortController();
  const quiet = new ReadableStream<Uint8Array>({ cancel: () => cancelled.resolve() });
  const reading = assertRejects(
    async () => {
      for await (const _ of readEvents(quiet, { logger: silentLogger, abort: ending.signal }));
    },
    Error,
    "enough",
  );
  ending.abort(new Error("enough"));
  await reading;
  await cancelled.promise;
});
