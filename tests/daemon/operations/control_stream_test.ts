import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ControlChannel } from "../../../src/daemon/control_socket/control_channel.ts";
import type { ControlServerOptions } from "../../../src/daemon/control_socket/control_server.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { writeAll } from "../../../src/platform/unix_socket.ts";
import {
  encodeFrame,
  encodeJsonFrame,
  type Frame,
  FrameError,
  frameJson,
  FrameReader,
  MAX_FRAME_PAYLOAD_BYTES,
} from "../../../src/protocol/frames.ts";
import { readLine } from "../../../src/protocol/jsonl.ts";
import {
  nextTurn,
  startControlServer,
  STATUS,
  type TestControlServer,
} from "../../support/daemons/test_control_server.ts";
import { within } from "../../support/within.ts";

const WAIT = '{"v":1,"op":"tasks.wait","task":"t"}\n';
const LIMIT_MS = 10_000;

/** Answers `status` at once, and streaming operations with `stream`. */
function streaming(stream: (channel: ControlChannel) => Promise<void>): ControlServerOptions["handle"] {
  return ({ op }) => op === "status" ? { result: op } : { result: {}, stream };
}

/** A client of a stream. It reads the frames after the reply line. */
class StreamClient implements Disposable {
  readonly conn: Deno.UnixConn;
  readonly reply: unknown;
  readonly #frames: FrameReader;

  private constructor(conn: Deno.UnixConn, { line, rest }: { line: Uint8Array; rest: Uint8Array }) {
    this.conn = conn;
    this.reply = JSON.parse(new TextDecoder().decode(line));
    this.#frames = new FrameReader(conn, rest);
  }

  /** @param behind bytes that it sends together with the request line */
  static async open(
    server: TestControlServer,
    behind: Uint8Array = new Uint8Array(0),
  ): Promise<StreamClient> {
    const conn = await server.connect();
    const request = new TextEncoder().encode(WAIT);
    await conn.write(new Uint8Array([...request, ...behind]));
    const framed = await within(LIMIT_MS, "the reply line", readLine(conn, { maxBytes: 1_000 }));
    assert(framed !== null, "the connection ended without a reply");
    return new StreamClient(conn, framed);
  }

  next(): Promise<Frame | null> {
    return within(LIMIT_MS, "a frame", this.#frames.next());
  }

  async text(): Promise<string> {
    const frame = await this.next();
    return `${frame?.kind} ${new TextDecoder().decode(frame?.payload)}`;
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

Deno.test("ControlServer sends a stream's frames after the reply line, in order, then ends the connection", async () => {
  await using server = await startControlServer({
    handle: streaming(async (channel) => {
      const sends = ["one", "two", "three"].map((text) => channel.send(encodeFrame("data", bytes(text))));
      await Promise.all(sends);
      await channel.send(encodeJsonFrame("exit", { done: true }));
    }),
  });
  using client = await StreamClient.open(server);
  assertEquals(client.reply, { ok: true, result: {} });
  assertEquals([await client.text(), await client.text(), await client.text()], [
    "data one",
    "data two",
    "data three",
  ]);
  const last = await client.next();
  assertEquals([last?.kind, frameJson(last!)], ["exit", { done: true }]);
  assertEquals(await client.next(), null);
});

Deno.test("ControlServer passes the client's frames to a stream, including those sent with the request", async () => {
  await using server = await startControlServer({
    handle: streaming(async (channel) => {
      for await (const { kind, payload } of channel.frames()) {
        if (kind === "detach") return await channel.send(encodeFrame("exit"));
        await channel.send(encodeFrame(kind, payload.slice()));
      }
    }),
  });
  const long = new Uint8Array(MAX_FRAME_PAYLOAD_BYTES).fill(7);
  using client = await StreamClient.open(server, encodeFrame("data", bytes("first")));
  assertEquals(await client.text(), "data first");
  await client.conn.write(encodeFrame("ping"));
  assertEquals(await client.text(), "ping ");
  const sending = writeAll(client.conn, encodeFrame("data", long));
  assertEquals((await client.next())?.payload, long);
  await sending;
  await client.conn.write(encodeFrame("detach"));
  assertEquals((await client.next())?.kind, "exit");
  assertEquals(await client.next(), null);
});

Deno.test("ControlServer reports an invalid frame to its client, and serves the others", async () => {
  const outcome = Promise.withResolvers<unknown>();
  await using server = await startControlServer({
    handle: streaming(async (channel) => {
      try {
        for await (const _ of channel.frames());
      } catch (error) {
        outcome.resolve([error instanceof Error && error.name, channel.abortSignal.aborted]);
        throw error;
      }
    }),
  });
  using client = await StreamClient.open(server, bytes("GET / HTTP/1.1\r\n\r\n"));
  const last = await client.next();
  assertEquals([last?.kind, frameJson(last!)], ["exit", { error: "no frame is of kind 71" }]);
  assertEquals(await client.next(), null);
  // The client can still receive frames.
  assertEquals(await outcome.promise, ["FrameError", false]);
  assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
});

Deno.test("ControlServer sends no last frame if a stream handles an invalid frame itself", async () => {
  await using server = await startControlServer({
    handle: streaming(async (channel) => {
      await assertRejects(async () => {
        for await (const _ of channel.frames());
      }, FrameError);
      await channel.send(encodeFrame("data", bytes("what was that?")));
    }),
  });
  using client = await StreamClient.open(server, bytes("GET / HTTP/1.1\r\n\r\n"));
  assertEquals(await client.text(), "data what was that?");
  assertEquals(await client.next(), null);
});

Deno.test("ControlServer discards frames that a stream does not read, and the last frame still arrives", async () => {
  const said = Promise.withResolvers<void>();
  await using server = await startControlServer({
    handle: streaming(async (channel) => {
      await said.promise;
      await channel.send(encodeFrame("exit", bytes("end")));
    }),
  });
  using client = await StreamClient.open(server, bytes("unread input"));
  await writeAll(client.conn, new Uint8Array(1024 * 1024));
  said.resolve();
  assertEquals(await client.text(), "exit end");
  assertEquals(await client.next(), null);
});

for (
  const [how, hangUp] of Object.entries({
    "closes its connection": (conn: Deno.UnixConn) => conn.close(),
    "closes its end of writing": (conn: Deno.UnixConn) => conn.closeWrite(),
  })
) {
  Deno.test(`ControlServer aborts a stream whose client ${how}, even if nothing is sent`, async () => {
    const ended = Promise.withResolvers<void>();
    await using server = await startControlServer({
      handle: streaming(async ({ abortSignal, send }) => {
        void send;
        await new Promise<void>((resolve) => abortSignal.addEventListener("abort", () => resolve()));
        ended.resolve();
      }),
    });
    const client = await StreamClient.open(server);
    try {
      await hangUp(client.conn);
      await within(LIMIT_MS, "the stream's end", ended.promise);
    } finally {
      if (how !== "closes its connection") client.conn.close();
    }
  });
}

Deno.test("ControlServer calls a stream with an aborted signal if its client has hung up by then", async () => {
  const asked = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const called = Promise.withResolvers<unknown>();
  await using server = await startControlServer({
    handle: async () => {
      asked.resolve();
      await goOn.promise;
      const stream = async (channel: ControlChannel): Promise<void> => {
        await assertRejects(() => channel.send(encodeFrame("data", new Uint8Array(60_000))), Error);
        called.resolve(channel.abortSignal.aborted);
      };
      return { result: {}, stream };
    },
  });
  const conn = await server.connect();
  await conn.write(bytes(WAIT));
  await asked.promise;
  conn.close();
  goOn.resolve();
  assertEquals(await within(LIMIT_MS, "the stream", called.promise), true);
});

Deno.test("ControlServer serves others while a client does not read its stream", async () => {
  let sentBytes = 0;
  await using server = await startControlServer({
    maxConnections: 1,
    handle: streaming(async (channel) => {
      const frame = encodeFrame("data", new Uint8Array(MAX_FRAME_PAYLOAD_BYTES));
      for (let i = 0; i < 1_000; i++) {
        await channel.send(frame);
        sentBytes += frame.length;
      }
    }),
  });
  using client = await StreamClient.open(server);
  let before = -1;
  for (; before !== sentBytes; await nextTurns(50)) before = sentBytes;
  // Streams do not count in the limit of one connection, and no timeout ends a slow one.
  for (let i = 0; i < 3; i++) {
    server.clock.advance(60_000);
    assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
  }
  assertEquals(sentBytes, before);
  let received = 0;
  for (let frame = await client.next(); frame !== null; frame = await client.next()) {
    received += frame.payload.length;
  }
  assertEquals(received, 1_000 * MAX_FRAME_PAYLOAD_BYTES);
});

Deno.test("ControlServer refuses a stream above its limit as busy, and accepts one when there is room", async () => {
  const warnings: string[] = [];
  await using server = await startControlServer({
    maxStreams: 1,
    logger: { ...silentLogger, warn: (message) => void warnings.push(message) },
    handle: streaming(async (channel) => {
      for await (const _ of channel.frames()) await channel.send(encodeFrame("ping"));
    }),
  });
  {
    using _first = await StreamClient.open(server);
    using second = await StreamClient.open(server, encodeFrame("ping"));
    assertEquals(second.reply, {
      ok: false,
      error: { code: "busy", message: "the daemon serves 1 streams already; try again" },
    });
    assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
    assertEquals(warnings, ["refused a stream: 1 are open (max_streams)"]);
  }
  for (let isRefused = true; isRefused;) {
    using third = await StreamClient.open(server, encodeFrame("ping"));
    isRefused = !(third.reply as { ok: boolean }).ok;
    if (!isRefused) assertEquals((await third.next())?.kind, "ping");
  }
});

Deno.test("ControlServer sends the error of a failed stream", async () => {
  const errors: string[] = [];
  await using server = await startControlServer({
    logger: { ...silentLogger, error: (message) => void errors.push(message) },
    handle: streaming(() => Promise.reject(new Error("out of luck"))),
  });
  using client = await StreamClient.open(server);
  const last = await client.next();
  assertEquals([last?.kind, frameJson(last!)], ["exit", { error: "out of luck" }]);
  assertEquals(await client.next(), null);
  assertEquals(errors, ["tasks.wait failed in its stream: out of luck"]);
});

Deno.test("ControlServer ends its streams when it is disposed, and waits for their operations", async () => {
  const order: string[] = [];
  const started = Promise.withResolvers<void>();
  const server = await startControlServer({
    handle: streaming(async (channel) => {
      const frame = encodeFrame("data", new Uint8Array(MAX_FRAME_PAYLOAD_BYTES));
      started.resolve();
      // More than the socket's buffers hold: the last write is pending at the end.
      await assertRejects(async () => {
        while (true) await channel.send(frame);
      }, Error);
      await nextTurn();
      order.push("ended");
    }),
  });
  using _client = await StreamClient.open(server);
  await started.promise;
  await nextTurns(20);
  await within(LIMIT_MS, "the server's end", server[Symbol.asyncDispose]());
  order.push("disposed");
  assertEquals(order, ["ended", "disposed"]);
});

Deno.test("ControlServer starts no operation for a request that waits for the barrier at its end", async () => {
  const atBarrier = Promise.withResolvers<void>();
  const pass = Promise.withResolvers<void>();
  let handled = 0;
  const server = await startControlServer({
    barrier: () => {
      atBarrier.resolve();
      return pass.promise;
    },
    handle: () => {
      handled++;
      return { result: {} };
    },
  });
  using conn = await server.connect();
  await conn.write(bytes(WAIT));
  await atBarrier.promise;
  await within(LIMIT_MS, "the server's end", server[Symbol.asyncDispose]());
  pass.resolve();
  await nextTurns(5);
  assertEquals(handled, 0);
});

async function nextTurns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn();
}
