import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { events } from "../../../src/cli/commands/events.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { type Script, ScriptedServer, send } from "../../support/engines/scripted_server.ts";
import { TempDir } from "../../support/temp_dir.ts";

const LINE = `{"type":"session.created"}\n`;

/** Sends one line, then shuts down. */
const shortRun: Script = async (conn) => {
  await send(conn, LINE);
  await Deno.remove((conn.localAddr as Deno.UnixAddr).path);
};

Deno.test("events() prints on stderr what it waits for when stdout is a terminal", async () => {
  await using dir = await TempDir.make();
  const engine = {
    state: "connected",
    kind: "docker",
    version: "20.10",
    socket: "/d.sock",
    source: "default",
  };
  const result = {
    ...{ version: "0.1.0", protocol: 1, pid: 1, startedAt: "2025-01-01T00:00:00.000Z", uptimeMs: 1, engine },
    ...{ sockets: { control: "a", events: "b" }, subscribers: 0, eventsPublished: 0, subscribersDropped: 0 },
    log: { bytes: 0, oldest: 0, head: 0 },
  };
  await using _control = new ScriptedServer(
    dir.join("apex.socket"),
    (conn) => send(conn, `${JSON.stringify({ ok: true, result })}\n`),
  );
  await using _events = new ScriptedServer(dir.join("events.socket"), shortRun);
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput({ isTerminal: true }), stderr });
  await events(context, { flags: { socket: dir.join("apex.socket") } });
  assertEquals(stderr.text, "apex: following docker 20.10 (/d.sock); waiting for events (Ctrl-C ends)\n");
  assertEquals(context.stdout.text, LINE);
});

Deno.test("events() at a terminal prints no note when the daemon does not answer", async () => {
  await using dir = await TempDir.make();
  await using _events = new ScriptedServer(dir.join("events.socket"), shortRun);
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput({ isTerminal: true }), stderr });
  await events(context, { flags: { socket: dir.join("apex.socket") } });
  assertEquals([context.stdout.text, stderr.text], [LINE, ""]);
});

Deno.test("events() in a pipe sends no request and prints no note", async () => {
  await using dir = await TempDir.make();
  let asked = 0;
  await using _control = new ScriptedServer(dir.join("apex.socket"), () => Promise.resolve(void asked++));
  await using _events = new ScriptedServer(dir.join("events.socket"), shortRun);
  const stderr = new CapturedOutput();
  await events(testContext({ stdout: new CapturedOutput(), stderr }), {
    flags: { socket: dir.join("apex.socket") },
  });
  assertEquals([asked, stderr.text], [0, ""]);
});

Deno.test("events() throws stream_cut when the stream ends and the socket still exists", async () => {
  await using dir = await TempDir.make();
  await using _events = new ScriptedServer(dir.join("events.socket"), (conn) => send(conn, LINE));
  const context = testContext({ stdout: new CapturedOutput() });
  const error = await assertRejects(
    () => events(context, { flags: { socket: dir.join("apex.socket") } }),
    ApexError,
  );
  assertEquals([error.code, context.stdout.text], ["stream_cut", LINE]);
  assertMatch(error.message, /too slow, the daemon was killed/);
});
