import { assertEquals, assertStringIncludes } from "@std/assert";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { nextTurn, startControlServer, STATUS } from "../../support/daemons/test_control_server.ts";
import { readText } from "../../support/socket_pairs.ts";

Deno.test("ControlServer answers one request with one line and ends the connection", async () => {
  await using server = await startControlServer();
  assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
});

Deno.test("ControlServer passes the barrier before it carries out the request", async () => {
  const order: string[] = [];
  await using server = await startControlServer({
    barrier: () => Promise.resolve().then(() => void order.push("barrier")),
    handle: () => {
      order.push("handle");
      return { result: null };
    },
  });
  await server.ask(STATUS);
  assertEquals(order, ["barrier", "handle"]);
});

Deno.test("ControlServer refuses invalid requests with a code, and continues", async (t) => {
  await using server = await startControlServer();
  const cases: [name: string, sent: string, code: string, message: string][] = [
    ["no JSON", "hello\n", "protocol", "not JSON"],
    ["no object", "[]\n", "protocol", "not of the form"],
    ["another version", '{"v":2,"op":"tasks.list"}\n', "protocol", "control protocol 1"],
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

Deno.test("ControlServer replies with the error that a handler threw", async () => {
  await using server = await startControlServer({
    handle: () => {
      throw new Error("out of luck");
    },
  });
  assertEquals(await server.ask(STATUS), '{"ok":false,"error":{"code":"failed","message":"out of luck"}}\n');
});

Deno.test("ControlServer replies with the code of the error if the protocol has it", async () => {
  const cases = [
    [new ApexError("not_found", "no such task"), "not_found"],
    [new ApexError("conflict", "it is taken"), "conflict"],
    [new ApexError("engine", "no engine"), "engine"],
    [new ApexError("no_daemon", "that is a client's word"), "failed"],
  ] as const;
  for (const [error, code] of cases) {
    await using server = await startControlServer({ handle: () => Promise.reject(error) });
    assertEquals(JSON.parse(await server.ask(STATUS)), {
      ok: false,
      error: { code, message: error.message },
    });
  }
});

Deno.test("ControlServer disconnects a client that sends nothing for 5 s, and serves others until then", async () => {
  await using server = await startControlServer();
  using silent = await server.connect();
  // The reply proves that the silent client, which is earlier in the backlog, was accepted, and that its time runs.
  assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
  server.clock.advance(4_999);
  assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
  server.clock.advance(1);
  assertEquals(await readText(silent), "");
});

Deno.test("ControlServer refuses connections above its limit at once and accepts new ones when there is room", async () => {
  await using server = await startControlServer({ maxConnections: 1 });
  const first = await server.connect();
  using second = await server.connect();
  // It has sent its request: closing with that unread would reset the connection, and the reply would be lost.
  await second.write(new TextEncoder().encode(STATUS));
  const refusal = JSON.parse(await readText(second));
  assertEquals([refusal.ok, refusal.error.code], [false, "busy"]);
  await first.write(new TextEncoder().encode(STATUS));
  assertEquals(await readText(first), '{"ok":true,"result":"status"}\n');
  first.close();
  assertEquals(await server.ask(STATUS), '{"ok":true,"result":"status"}\n');
});

Deno.test("ControlServer ends open connections when it is disposed", async () => {
  const server = await startControlServer();
  using silent = await server.connect();
  await server.ask(STATUS);
  await server[Symbol.asyncDispose]();
  assertEquals(await readText(silent), "");
});

Deno.test("ControlServer disconnects a client that does not take its reply, and its disposal does not wait for one", async () => {
  const asked = Promise.withResolvers<void>();
  await using server = await startControlServer({
    maxConnections: 1,
    handle: ({ op }) => {
      asked.resolve();
      // More than a socket's buffers hold.
      return { result: op === "status" ? "x".repeat(4 * 1024 * 1024) : op };
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
