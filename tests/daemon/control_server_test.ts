import { assertEquals, assertStringIncludes } from "@std/assert";
import { ControlServer } from "../../src/daemon/control_server.ts";
import { silentLogger } from "../../src/platform/logger.ts";
import type { ControlReply, ControlRequest } from "../../src/protocol/control.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { readText } from "../support/socket_pairs.ts";
import { TempDir } from "../support/temp_dir.ts";

const STATUS = '{"v":1,"op":"status"}\n';

interface TestServer extends AsyncDisposable {
  readonly clock: FakeClock;
  connect(): Promise<Deno.UnixConn>;
  /** Sends `text`, and reads the reply to its end. */
  ask(text: string): Promise<string>;
}

async function startServer(options: {
  readonly handle?: (request: ControlRequest) => ControlReply;
  readonly barrier?: () => Promise<void>;
  readonly maxConnections?: number;
} = {}): Promise<TestServer> {
  await using parts = new AsyncDisposableStack();
  const dir = parts.use(await TempDir.make());
  const path = dir.join("s");
  const clock = new FakeClock();
  parts.use(
    new ControlServer({
      listener: Deno.listen({ transport: "unix", path }),
      handle: options.handle ?? (({ op }) => ({ ok: true, result: op })),
      barrier: options.barrier ?? (() => Promise.resolve()),
      maxConnections: options.maxConnections ?? 256,
      clock,
      logger: silentLogger,
    }),
  );
  const connect = () => Deno.connect({ transport: "unix", path });
  const kept = parts.move();
  return {
    clock,
    connect,
    async ask(text) {
      using conn = await connect();
      await conn.write(new TextEncoder().encode(text));
      const reply = await readText(conn, "\n");
      await conn.closeWrite();
      return reply + await readText(conn);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

Deno.test("ControlServer answers one request with one line and ends the connection", async () => {
  await using server = await startServer();
  assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
});

Deno.test("ControlServer passes the barrier before it carries out the request", async () => {
  const order: string[] = [];
  await using server = await startServer({
    barrier: () => Promise.resolve().then(() => void order.push("barrier")),
    handle: () => {
      order.push("handle");
      return { ok: true, result: null };
    },
  });
  await server.ask(STATUS);
  assertEquals(order, ["barrier", "handle"]);
});

Deno.test("ControlServer refuses what is no request, by kind, and goes on", async (t) => {
  await using server = await startServer();
  const cases: [name: string, sent: string, code: string, message: string][] = [
    ["no JSON", "hello\n", "protocol", "not JSON"],
    ["no object", "[]\n", "protocol", "not of the form"],
    ["another version", '{"v":2,"op":"status"}\n', "protocol", "control protocol 1"],
    ["an unknown operation", '{"v":1,"op":"stats"}\n', "usage", "status"],
    ["a line that is too long", "x".repeat(70_000), "protocol", "too long"],
  ];
  for (const [name, sent, code, message] of cases) {
    await t.step(name, async () => {
      const reply = JSON.parse(await server.ask(sent));
      assertEquals([reply.ok, reply.error.code], [false, code]);
      assertStringIncludes(reply.error.message, message);
    });
  }
  assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
});

Deno.test("ControlServer replies with the error that carrying out a request threw", async () => {
  await using server = await startServer({
    handle: () => {
      throw new Error("out of luck");
    },
  });
  assertEquals(await server.ask(STATUS), '{"ok":false,"error":{"code":"failed","message":"out of luck"}}\n');
});

Deno.test("ControlServer closes a client that sends nothing for 5 s, and serves others meanwhile", async () => {
  await using server = await startServer();
  using silent = await server.connect();
  // Answered, so the silent one before it in the backlog has been accepted, and its time runs.
  assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
  server.clock.advance(4_999);
  assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
  server.clock.advance(1);
  assertEquals(await readText(silent), "");
});

Deno.test("ControlServer refuses connections beyond its limit at once and takes new ones when there is room", async () => {
  await using server = await startServer({ maxConnections: 1 });
  const first = await server.connect();
  using second = await server.connect();
  // It has asked already: closing with that unread would reset the connection, and the reply would be lost.
  await second.write(new TextEncoder().encode(STATUS));
  const refusal = JSON.parse(await readText(second));
  assertEquals([refusal.ok, refusal.error.code], [false, "busy"]);
  await first.write(new TextEncoder().encode(STATUS));
  assertEquals(await readText(first), '{"ok":true,"result":"status"}\n');
  first.close();
  assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
});

Deno.test("ControlServer ends open connections when it is disposed", async () => {
  const server = await startServer();
  using silent = await server.connect();
  await server.ask(STATUS);
  await server[Symbol.asyncDispose]();
  assertEquals(await readText(silent), "");
});

Deno.test("ControlServer gives up a client that does not take its reply, and its end does not wait for one", async () => {
  const asked = Promise.withResolvers<void>();
  await using server = await startServer({
    maxConnections: 1,
    handle: ({ op }) => {
      asked.resolve();
      // More than a socket's buffers hold.
      return { ok: true, result: op === "status" ? "x".repeat(4 * 1024 * 1024) : op };
    },
  });
  using stuck = await server.connect();
  await stuck.write(new TextEncoder().encode(STATUS));
  await asked.promise;
  await nextTurn();
  server.clock.advance(5_000);
  await nextTurn();
  assertEquals(
    await server.ask('{"v":1,"op":"containers.list"}\n'),
    '{"ok":true,"result":"containers.list"}\n',
  );

  using another = await server.connect();
  await another.write(new TextEncoder().encode(STATUS));
});

/** Until what is ready now has been done. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
