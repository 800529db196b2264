/**
 * The possible replies of an engine to an attach, byte by byte. For real engines, see tests/engine/real_attach_test.ts.
 */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { attachContainer, type AttachOptions } from "../../src/engine/attach_connection.ts";
import { EngineError } from "../../src/engine/http/engine_error.ts";
import { type Script, ScriptedServer, send } from "../support/engines/scripted_server.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TempDir } from "../support/temp_dir.ts";
import { within } from "../support/within.ts";

const UPGRADED = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";

interface Engine extends AsyncDisposable {
  readonly options: AttachOptions;
}

async function startEngine(script: Script): Promise<Engine> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await TempDir.make());
  const server = stack.use(new ScriptedServer(dir.join("s"), script));
  const owned = stack.move();
  return {
    options: { socketPath: server.path, apiVersion: "1.41", id: "c0ffee", stdin: true },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Reads the head of the request, or a part of it when the client closes first. */
async function readRequest(conn: Deno.UnixConn): Promise<string> {
  const buffer = new Uint8Array(4_096);
  let text = "";
  while (!text.endsWith("\r\n\r\n")) {
    const count = await conn.read(buffer);
    if (count === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return text;
}

/** Reads until the client closes, so that the server does not close first. */
async function untilClosed(conn: Deno.UnixConn): Promise<string> {
  let text = "";
  const buffer = new Uint8Array(4_096);
  for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return text;
}

async function readAll(connection: { read(buffer: Uint8Array): Promise<number | null> }): Promise<string> {
  const buffer = new Uint8Array(3);
  let text = "";
  for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return text;
}

function answering(reply: string): Script {
  return async (conn) => {
    await readRequest(conn);
    await send(conn, reply);
  };
}

Deno.test("attachContainer() sends a request and takes the connection over", async () => {
  let request = "";
  let input = "";
  await using engine = await startEngine(async (conn) => {
    request = await readRequest(conn);
    await send(conn, UPGRADED);
    input = await untilClosed(conn);
    await send(conn, "goodbye");
  });
  using attached = await attachContainer(engine.options);
  await attached.write(new TextEncoder().encode("typed"));
  await attached.closeWrite();
  assertEquals(await within(5_000, "the output", readAll(attached)), "goodbye");
  assertEquals(input, "typed");
  assertEquals(request.split("\r\n"), [
    "POST /v1.41/containers/c0ffee/attach?stream=1&stdin=1&stdout=1&stderr=1&detachKeys=%FF,%FE,%FF,%FE HTTP/1.1",
    "Host: localhost",
    "Connection: Upgrade",
    "Upgrade: tcp",
    "Content-Length: 0",
    "",
    "",
  ]);
});

Deno.test("attachContainer() keeps the output that arrives together with the head of the reply", async () => {
  await using engine = await startEngine(answering(`${UPGRADED}at once`));
  using attached = await attachContainer(engine.options);
  assertEquals(await within(5_000, "the output", readAll(attached)), "at once");
});

Deno.test("attachContainer() reads a head that arrives byte by byte", async () => {
  await using engine = await startEngine(async (conn) => {
    await readRequest(conn);
    for (const character of `${UPGRADED}out`) await send(conn, character);
  });
  using attached = await attachContainer(engine.options);
  assertEquals(await within(5_000, "the output", readAll(attached)), "out");
});

Deno.test("attachContainer() accepts the status 200 of older engines", async () => {
  await using engine = await startEngine(answering("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nout"));
  using attached = await attachContainer({ ...engine.options, stdin: false });
  assertEquals(await within(5_000, "the output", readAll(attached)), "out");
});

const MESSAGE = `{"message":"No such container: c0ffee"}\n`;

const REFUSALS: Record<string, string> = {
  "a length": `Content-Length: ${MESSAGE.length}\r\n\r\n${MESSAGE}`,
  "chunks": `Transfer-Encoding: chunked\r\n\r\n${MESSAGE.length.toString(16)}\r\n${MESSAGE}\r\n0\r\n\r\n`,
  "neither length nor chunks": `\r\n${MESSAGE}`,
  "a wrong length": `Content-Length: 9999\r\n\r\n${MESSAGE}`,
};

for (const [what, rest] of Object.entries(REFUSALS)) {
  Deno.test(`attachContainer() rejects with the engine's message in an error reply with ${what}`, async () => {
    await using engine = await startEngine(answering(`HTTP/1.1 404 Not Found\r\n${rest}`));
    const error = await assertRejects(() => attachContainer(engine.options), EngineError);
    assertEquals(
      [error.code, error.status, error.engineMessage],
      ["not_found", 404, "No such container: c0ffee"],
    );
    assertStringIncludes(error.message, "POST /containers/c0ffee/attach");
  });
}

const NO_REPLIES: Record<string, readonly [string, string]> = {
  "the connection ends before the reply": ["HTTP/1.1 101 UPGR", "ended before"],
  "the bytes are not a reply": ["SSH-2.0-OpenSSH\r\n\r\n", "not an HTTP reply"],
  "the head has no end": [`HTTP/1.1 101 U\r\n${"X: y\r\n".repeat(20_000)}`, "over 65536 bytes"],
};

for (const [what, [reply, reason]] of Object.entries(NO_REPLIES)) {
  Deno.test(`attachContainer() rejects when ${what}`, async () => {
    await using engine = await startEngine(async (conn) => {
      await readRequest(conn);
      try {
        await send(conn, reply);
      } catch (error) {
        // The client has closed early.
        if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)) {
          throw error;
        }
      }
    });
    await assertRejects(() => attachContainer(engine.options), EngineError, reason);
  });
}

Deno.test("attachContainer() rejects when no engine listens", async () => {
  await using dir = await TempDir.make();
  const options = { socketPath: dir.join("none"), apiVersion: "1.41", id: "x", stdin: true };
  await assertRejects(() => attachContainer(options), EngineError, "cannot reach the engine");
});

Deno.test("attachContainer() rejects when the engine does not reply in time", async () => {
  const clock = new FakeClock();
  const asked = Promise.withResolvers<void>();
  await using engine = await startEngine(async (conn) => {
    await readRequest(conn);
    asked.resolve();
    await untilClosed(conn);
  });
  const attaching = attachContainer({ ...engine.options, clock, timeoutMs: 7_000 });
  const rejected = assertRejects(
    () => attaching,
    EngineError,
    "did not reply to POST /v1.41/containers/c0ffee/attach within 7 s",
  );
  await asked.promise;
  clock.advance(7_000);
  await within(5_000, "the rejection", rejected);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("attachContainer() rejects with the abort reason, and closes the connection", async () => {
  const asked = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  await using engine = await startEngine(async (conn) => {
    await readRequest(conn);
    asked.resolve();
    await untilClosed(conn);
    closed.resolve();
  });
  const aborting = new AbortController();
  const attaching = attachContainer({ ...engine.options, abort: aborting.signal });
  const rejected = assertRejects(() => attaching, Error, "never mind");
  await asked.promise;
  aborting.abort(new Error("never mind"));
  await within(5_000, "the rejection", rejected);
  await within(5_000, "the connection's end", closed.promise);
  await assertRejects(
    () => attachContainer({ ...engine.options, abort: aborting.signal }),
    Error,
    "never mind",
  );
});

Deno.test("an attached connection stays open after the signal and the time limit of the attempt", async () => {
  const clock = new FakeClock();
  await using engine = await startEngine(async (conn) => {
    await readRequest(conn);
    await send(conn, UPGRADED);
    await send(conn, await untilClosed(conn));
  });
  const aborting = new AbortController();
  using attached = await attachContainer({ ...engine.options, clock, abort: aborting.signal });
  aborting.abort();
  clock.advance(60_000);
  await attached.write(new TextEncoder().encode("echo"));
  await attached.closeWrite();
  assertEquals(await within(5_000, "the output", readAll(attached)), "echo");
});

Deno.test("disposal of an attached connection ends its read and its blocked write", async () => {
  await using engine = await startEngine(async (conn) => {
    await readRequest(conn);
    await send(conn, UPGRADED);
    // Reads nothing until the client has closed.
    await release.promise;
  });
  const release = Promise.withResolvers<void>();
  const attached = await attachContainer(engine.options);
  const read = attached.read(new Uint8Array(10));
  const write = attached.write(new Uint8Array(8 * 1024 * 1024)).catch((error: unknown) => error);
  attached[Symbol.dispose]();
  attached[Symbol.dispose]();
  assertEquals(await within(5_000, "the read's end", read), null);
  assertInstanceOf(await within(5_000, "the write's end", write), EngineError);
  assertEquals(await attached.read(new Uint8Array(10)), null);
  await assertRejects(() => attached.write(new Uint8Array(1)), EngineError, "takes no input");
  release.resolve();
});

Deno.test("a write to a removed container rejects", async () => {
  await using engine = await startEngine(answering(UPGRADED));
  using attached = await attachContainer(engine.options);
  assertEquals(await within(5_000, "the end", readAll(attached)), "");
  const error = await assertRejects(() => attached.write(new Uint8Array(1_000_000)), EngineError);
  assert(error.message.startsWith("the container takes no input"));
});
