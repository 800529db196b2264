import { assertEquals, assertRejects } from "@std/assert";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import { readTtyTail, spliceTail, withUnlogged } from "../../../src/engine/logs/tty_log.ts";
import { CHUNKED_HEAD, httpChunk, httpReply, RawHttpServer } from "../../support/engines/raw_http_server.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { within } from "../../support/within.ts";

const LINES = Array.from({ length: 500 }, (_, line) => `line ${line}\r\n`);

/** The log, the start of the stream, and the part of the log that precedes it (undefined: read the log again). */
const SPLICES: Record<string, readonly [string, string, string | undefined]> = {
  "the whole log when the stream is empty": ["$ ls\r\n", "", "$ ls\r\n"],
  "the part before the stream when the log has all of the stream": [
    LINES.join(""),
    LINES.slice(300).join(""),
    LINES.slice(0, 300).join(""),
  ],
  "the part before the stream when the log has the beginning of the stream": [
    LINES.slice(0, 400).join(""),
    LINES.slice(300).join(""),
    LINES.slice(0, 300).join(""),
  ],
  "the part before the stream when the log continues after it": [
    LINES.join(""),
    LINES.slice(300, 350).join(""),
    LINES.slice(0, 300).join(""),
  ],
  "nothing when the stream began with the log": ["hello\r\n", "hello\r\n$ ", ""],
  "the part before a short stream whose last line is not logged yet": [
    "$ ls\r\na b\r\n",
    "a b\r\n$ ",
    "$ ls\r\n",
  ],
  "undefined when the log has not reached the stream yet": ["$ ", LINES.join(""), undefined],
  "undefined when the log has only a few bytes of a long stream": [
    "before\r\nline 0\r\n",
    LINES.join(""),
    undefined,
  ],
  "undefined when a short stream is not at the log's end": ["$ ls\r\nfoo\r\nbar", "$ ", undefined],
  "undefined for an empty log": ["", "out", undefined],
  "the part that is certain when output repeats itself": [
    `start\r\n${"y\r\n".repeat(1_000)}`,
    "y\r\n".repeat(100),
    `start\r\n${"y\r\n".repeat(900)}`,
  ],
};

for (const [what, [log, start, before]] of Object.entries(SPLICES)) {
  Deno.test(`spliceTail() returns ${what}`, () => {
    const encoder = new TextEncoder();
    const spliced = spliceTail(encoder.encode(log), encoder.encode(start));
    assertEquals(spliced && new TextDecoder().decode(spliced), before);
  });
}

/** The log, the last output that was received, and the whole output. */
const UNLOGGED: Record<string, readonly [string, string, string]> = {
  "appends the prompt that was received": ["$ ls\r\na b\r\n", "$ ls\r\na b\r\n$ ", "$ ls\r\na b\r\n$ "],
  "appends it when only the end was received": [LINES.join(""), `${LINES.at(-1)}$ `, `${LINES.join("")}$ `],
  "appends everything when nothing is logged": ["", "\x1b[?1049hdrawn", "\x1b[?1049hdrawn"],
  "appends nothing when the unfinished line is logged": ["one\r\n$ ", "one\r\n$ ", "one\r\n$ "],
  "appends the missing part of a line that is logged in pieces": [
    `one\r\n${"x".repeat(16_384)}`,
    `one\r\n${"x".repeat(16_384)}${"y".repeat(30)}`,
    `one\r\n${"x".repeat(16_384)}${"y".repeat(30)}`,
  ],
  "appends nothing when the line has ended since": ["one\r\n$ ls\r\n", "one\r\n$ ", "one\r\n$ ls\r\n"],
  "appends nothing when the only line has ended since": ["$ ls\r\n", "$ ", "$ ls\r\n"],
  "appends nothing when the log ends with the beginning of what was received": [
    "$ \r\nb\r\n",
    "b\r\na\r\n$ ",
    "$ \r\nb\r\n",
  ],
  "appends nothing when nothing was received": ["one\r\n", "", "one\r\n"],
};

for (const [what, [log, recent, whole]] of Object.entries(UNLOGGED)) {
  Deno.test(`withUnlogged() ${what}`, () => {
    const encoder = new TextEncoder();
    assertEquals(new TextDecoder().decode(withUnlogged(encoder.encode(log), encoder.encode(recent))), whole);
  });
}

Deno.test("spliceTail() is fast on the worst logs", () => {
  const log = new Uint8Array(4 * 1024 * 1024).fill(0x61);
  const start = new Uint8Array(64 * 1024).fill(0x61);
  start[start.length - 1] = 0x62;
  // As far as one can know, the log ends with the start of the stream.
  assertEquals(spliceTail(log, start)?.length, log.length - start.length + 1);
});

interface LogServer extends AsyncDisposable {
  readonly client: EngineClient;
  readonly targets: string[];
}

/** An engine whose log consists of these chunks; `undefined` breaks the connection. */
async function serveLog(
  chunks: readonly (string | undefined)[],
  { refusal, isPodman = false }: { refusal?: string; isPodman?: boolean } = {},
): Promise<LogServer> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await TempDir.make());
  const targets: string[] = [];
  const Components = isPodman ? [{ Name: "Podman Engine", Version: "4.3.1" }] : [];
  const server = stack.use(
    new RawHttpServer(dir.join("s"), async ({ target, write, close }) => {
      if (target === "/_ping") return await write(httpReply(200, "OK", { "Api-Version": "1.41" }));
      if (target === "/v1.41/version") return await write(httpReply(200, { Version: "1", Components }));
      targets.push(target);
      if (refusal !== undefined) return await write(httpReply(404, { message: refusal }));
      await write(CHUNKED_HEAD);
      for (const chunk of chunks) {
        if (chunk === undefined) return close();
        await write(httpChunk(chunk));
      }
      await write("0\r\n\r\n");
    }),
  );
  const client = stack.use(new EngineClient({ socketPath: server.socketPath }));
  const owned = stack.move();
  return { client, targets, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function tailOf({ client }: LogServer, maxBytes: number): Promise<string> {
  const tail = await within(10_000, "the log", readTtyTail(client, "c0ffee", { maxBytes }));
  return new TextDecoder().decode(tail);
}

Deno.test("readTtyTail() returns a short log whole", async () => {
  await using server = await serveLog(["$ ls\r\n", "a b\r\n"]);
  assertEquals(await tailOf(server, 1_024), "$ ls\r\na b\r\n");
  assertEquals(server.targets, ["/v1.41/containers/c0ffee/logs?stdout=1&stderr=1&tail=32"]);
});

Deno.test("readTtyTail() requests the whole log from Podman, whose last lines would be garbled", async () => {
  await using server = await serveLog(["$ l", "s\r\n", "$ "], { isPodman: true });
  assertEquals(await tailOf(server, 4), "\r\n$ ");
  assertEquals(server.targets, ["/v1.41/containers/c0ffee/logs?stdout=1&stderr=1"]);
});

Deno.test("readTtyTail() returns the last bytes of a long log", async () => {
  const chunks = Array.from({ length: 300 }, (_, index) => `${index},`.repeat(50));
  await using server = await serveLog(chunks);
  assertEquals(await tailOf(server, 1_000), chunks.join("").slice(-1_000));
});

Deno.test("readTtyTail() returns the last bytes of a log that arrives in one piece", async () => {
  await using server = await serveLog([LINES.join("")]);
  assertEquals(await tailOf(server, 17), LINES.join("").slice(-17));
});

Deno.test("readTtyTail() returns nothing when the log is empty", async () => {
  await using server = await serveLog([]);
  assertEquals(await tailOf(server, 100), "");
});

Deno.test("readTtyTail() rejects when the container does not exist", async () => {
  await using server = await serveLog([], { refusal: "No such container: c0ffee" });
  const error = await assertRejects(() => tailOf(server, 100), EngineError, "No such container");
  assertEquals(error.code, "not_found");
});

Deno.test("readTtyTail() rejects when the connection breaks", async () => {
  await using server = await serveLog(["some", undefined]);
  await assertRejects(() => tailOf(server, 100), EngineError, "broke during the log of container c0ffee");
});

Deno.test("readTtyTail() rejects with the abort reason", async () => {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await TempDir.make());
  const aborting = new AbortController();
  const server = stack.use(
    new RawHttpServer(dir.join("s"), async ({ target, write }) => {
      if (target === "/_ping") return await write(httpReply(200, "OK", { "Api-Version": "1.41" }));
      if (target === "/v1.41/version") return await write(httpReply(200, { Version: "1" }));
      // A log without an end.
      await write(CHUNKED_HEAD + httpChunk("some"));
      aborting.abort(new Error("that's enough"));
    }),
  );
  const client = stack.use(new EngineClient({ socketPath: server.socketPath }));
  const reading = readTtyTail(client, "c0ffee", { maxBytes: 100, abort: aborting.signal });
  await within(5_000, "the rejection", assertRejects(() => reading, Error, "that's enough"));
});
