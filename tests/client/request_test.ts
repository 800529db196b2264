import { assertEquals, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import { request } from "../../src/client/control_exchange.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { readLine } from "../../src/protocol/jsonl.ts";
import { type Script, ScriptedServer, send } from "../support/engines/scripted_server.ts";
import { TempDir } from "../support/temp_dir.ts";

/** Reads the request, and replies with these bytes. */
function replying(text: string): Script {
  return async (conn) => {
    await readLine(conn, { maxBytes: 1024 });
    await send(conn, text);
  };
}

async function failure(script: Script): Promise<ApexError> {
  await using dir = await TempDir.make();
  await using server = new ScriptedServer(dir.join("s.socket"), script);
  return await assertRejects(() => request(server.path, "containers.list", {}), ApexError);
}

Deno.test("request() sends one line and returns the validated result", async () => {
  await using dir = await TempDir.make();
  let sent = "";
  await using server = new ScriptedServer(dir.join("s.socket"), async (conn) => {
    const framed = await readLine(conn, { maxBytes: 1024 });
    sent = new TextDecoder().decode(framed?.line);
    await send(conn, `{"ok":true,"result":{"containers":[],"engine":"connected","newField":1}}\n`);
  });
  assertEquals(await request(server.path, "containers.list", {}), { containers: [], engine: "connected" });
  assertEquals(sent, `{"v":1,"op":"containers.list"}`);
});

Deno.test("request() throws the daemon's error with its code", async () => {
  const error = await failure(
    replying(`{"ok":false,"error":{"code":"not_found","message":"no such thing"}}\n`),
  );
  assertEquals([error.code, error.message], ["not_found", "no such thing"]);
});

Deno.test("request() reads an unknown error code as failed", async () => {
  const error = await failure(replying(`{"ok":false,"error":{"code":"brand_new","message":"m"}}\n`));
  assertEquals(error.code, "failed");
});

Deno.test("request() reads a refusal from a daemon that closes without reading the request", async () => {
  const error = await failure((conn) =>
    send(conn, `{"ok":false,"error":{"code":"busy","message":"full"}}\n`)
  );
  assertEquals([error.code, error.message], ["busy", "full"]);
});

const invalid: [name: string, reply: string, message: RegExp][] = [
  ["nothing", "", /no valid reply from .*: the connection ended without one/],
  ["half a line", `{"ok":true`, /the connection ended without one/],
  ["what is not JSON", "hello\n", /no valid reply from/],
  [
    "a result of another form",
    `{"ok":true,"result":{"containers":[{}]}}\n`,
    /answers containers\.list in a form that apex .* does not know; .*apex restart/,
  ],
];

for (const [name, reply, message] of invalid) {
  Deno.test(`request() describes the reply when the peer replies ${name}`, async () => {
    const error = await failure(replying(reply));
    assertEquals(error.code, "protocol");
    assertMatch(error.message, message);
  });
}

Deno.test("request() throws a timeout if the daemon does not answer", async () => {
  await using dir = await TempDir.make();
  await using server = new ScriptedServer(dir.join("s.socket"), async (conn) => {
    await readLine(conn, { maxBytes: 1024 });
    await readLine(conn, { maxBytes: 1024 });
  });
  const error = await assertRejects(() => request(server.path, "status", {}, { timeoutMs: 20 }), ApexError);
  assertEquals(error.code, "timeout");
  assertMatch(error.message, /did not answer status in 20 ms/);
});

Deno.test("request() throws the signal's reason when aborted during the wait", async () => {
  await using dir = await TempDir.make();
  const controller = new AbortController();
  const reason = new Error("enough");
  await using server = new ScriptedServer(dir.join("s.socket"), async (conn) => {
    await readLine(conn, { maxBytes: 1024 });
    controller.abort(reason);
    await readLine(conn, { maxBytes: 1024 });
  });
  const thrown = await assertRejects(
    () => request(server.path, "status", {}, { abort: controller.signal }),
    Error,
  );
  assertStrictEquals(thrown, reason);
});

Deno.test("request() throws the signal's reason when aborted during the connect", async () => {
  await using dir = await TempDir.make();
  const controller = new AbortController();
  const reason = new Error("enough");
  await using server = new ScriptedServer(dir.join("s.socket"), async (conn) => {
    assertEquals(await readLine(conn, { maxBytes: 1024 }), null);
  });
  const asking = assertRejects(
    () => request(server.path, "status", {}, { abort: controller.signal }),
    Error,
  );
  controller.abort(reason);
  assertStrictEquals(await asking, reason);
});
