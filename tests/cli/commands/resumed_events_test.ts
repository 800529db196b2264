import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { EventFlags } from "../../../src/cli/args/event_flags.ts";
import { events } from "../../../src/cli/commands/events.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import {
  BARE,
  EPOCH,
  event,
  HELLO,
  LIMIT,
  says,
  SHUTDOWN,
  subscriptions,
} from "../../support/daemons/subscriptions.ts";
import { PausedPipe } from "../../support/paused_pipe.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { within } from "../../support/within.ts";

/** A pipe whose reader is paused. */
class PausedOutput extends CapturedOutput {
  readonly pipe: PausedPipe;

  constructor(room: number) {
    super();
    this.pipe = new PausedPipe(room);
  }

  override relay(bytes: Uint8Array): Promise<void> {
    return this.pipe.relay(bytes);
  }
}

Deno.test("events() with --reconnect resumes after the last printed event, with the rest of its limit", async () => {
  await using given = await subscriptions(
    says(HELLO, `{"type":"stream.snapshot","containers":[],"sessions":[],"tasks":[],"cursor":"${EPOCH}:4"}`),
    says(HELLO, event(5), event(6)),
    (connection) => connection.refuse("engine", "not yet"),
    says(HELLO, `{"type":"stream.heartbeat","cursor":"${EPOCH}:8"}`, SHUTDOWN),
    says(HELLO, event(9), LIMIT),
  );
  assertEquals(await given.run({ reconnect: true, snapshot: true, limit: "3", seq: true }), 0);
  assertEquals(
    given.daemon.requests.map((request) =>
      request.op === "events.subscribe" && [request.after, request.limit, request.snapshot]
    ),
    [
      [undefined, 3, true],
      [`${EPOCH}:4`, 3, undefined],
      [`${EPOCH}:6`, 1, undefined],
      [`${EPOCH}:6`, 1, undefined],
      [`${EPOCH}:8`, 1, undefined],
    ],
  );
  const cursors = given.stdout.text.trimEnd().split("\n").map((line) => JSON.parse(line).cursor);
  assertEquals(cursors, [4, 5, 6, 9].map((seq) => `${EPOCH}:${seq}`));
  assertMatch(
    given.stderr.text,
    /^apex: the event stream broke off; reconnecting\napex: reconnected, resuming after 0*aa:4\n/,
  );
  assertMatch(given.stderr.text, /still reconnecting: not yet\n/);
  assertMatch(given.stderr.text, /the daemon has shut down; reconnecting\n/);
});

Deno.test("events() with --since requests the same time again until it has a cursor", async () => {
  await using given = await subscriptions(says(HELLO), says(HELLO, event(5), LIMIT));
  await given.run({ since: "10m", reconnect: true, limit: "1" });
  const sinceMs = Date.parse("2025-01-01T00:00:00Z") - 600_000;
  assertEquals(
    given.daemon.requests.map((request) =>
      request.op === "events.subscribe" && [request.sinceMs, request.after]
    ),
    [[sinceMs, undefined], [sinceMs, undefined]],
  );
});

Deno.test("events() with --cursor-file saves its cursor, which then takes precedence over --after", async () => {
  await using given = await subscriptions(says(HELLO, event(5), event(6), SHUTDOWN));
  const cursorFile = given.dir.join("cursor");
  const flags = { cursorFile, after: `${EPOCH}:3` };
  await Deno.writeTextFile(cursorFile, "");
  await given.run(flags);
  assertEquals(await Deno.readTextFile(cursorFile), `${EPOCH}:6\n`);
  await given.run(flags);
  assertEquals(
    given.daemon.requests.map((request) => request.op === "events.subscribe" && request.after),
    [`${EPOCH}:3`, `${EPOCH}:6`],
  );
  const left = (await Array.fromAsync(Deno.readDir(given.dir.path))).map(({ name }) => name).sort();
  assertEquals(left, ["apex.socket", "cursor"]);
});

Deno.test("events() with --cursor-file saves, on a signal, the last event that a paused reader has received", async () => {
  const count = 1_000;
  await using given = await subscriptions(async (connection, request) => {
    await says(HELLO, ...Array.from({ length: count }, (_, index) => event(5 + index)))(connection, request);
    await connection.hungUp();
  });
  const stdout = new PausedOutput(10_000);
  const listeners = new Map<string, () => void>();
  const context = testContext({
    stdout,
    onSignal: (name, listener) => {
      listeners.set(name, listener);
      return () => listeners.delete(name);
    },
  });
  const cursorFile = given.dir.join("cursor");
  const flags = { socket: given.dir.join("apex.socket"), seq: true, cursorFile } as const;
  const ended = events(context, { flags });
  await within(20_000, "a pause", stdout.pipe.full);
  listeners.get("SIGTERM")!();
  assertEquals(await within(20_000, "apex events", ended), 143);
  const lines = stdout.pipe.text.split("\n");
  assertEquals(lines.pop(), "", "no partial line");
  const cursors = lines.map((line) => JSON.parse(line).cursor);
  assert(cursors.length > 0 && cursors.length < count, `${cursors.length} were printed`);
  assertEquals(await Deno.readTextFile(cursorFile), `${cursors.at(-1)}\n`);
});

Deno.test("events() with --reconnect waits for the first daemon", async () => {
  await using dir = await TempDir.make();
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr });
  const socket = dir.join("apex.socket");
  const flags = { socket, daemonize: false, reconnect: true, limit: "1", after: `${EPOCH}:4` } as const;
  const ended = events(context, { flags });
  await stderr.until("(waiting for it: --reconnect)");
  await using _daemon = new ScriptedDaemon(socket, { "events.subscribe": says(HELLO, event(5), LIMIT) });
  assertEquals(await within(20_000, "apex events", ended), 0);
  assertEquals(context.stdout.text, BARE);
  assertEquals(stderr.text.split("\n"), [
    `apex: no daemon is running (no socket at ${socket}); start one with: apex daemon (waiting for it: --reconnect)`,
    `apex: connected, resuming after ${EPOCH}:4`,
    "",
  ]);
});

Deno.test("events() with --reconnect waits no longer than --timeout; without --reconnect it does not wait", async () => {
  await using dir = await TempDir.make();
  const run = (flags: EventFlags) => {
    const context = testContext({ stdout: new CapturedOutput() });
    const all = { socket: dir.join("apex.socket"), daemonize: false, ...flags };
    return within(20_000, "apex events", events(context, { flags: all }));
  };
  const late = await assertRejects(() => run({ reconnect: true, timeout: "100ms" }), ApexError, "--timeout");
  assertEquals(late.code, "timeout");
  const missing = await assertRejects(() => run({ timeout: "10s" }), ApexError, "no daemon is running");
  assertEquals(missing.code, "no_daemon");
});

Deno.test("events() rejects a cursor file with other content", async () => {
  await using given = await subscriptions(says(HELLO));
  await Deno.writeTextFile(given.dir.join("cursor"), "my shopping list");
  const cursorFile = given.dir.join("cursor");
  const error = await assertRejects(() => given.run({ cursorFile }), ApexError, "does not contain a cursor");
  assertEquals([error.code, given.daemon.requests], ["usage", []]);
});

for (const code of ["protocol", "failed", "usage", "of_the_future"]) {
  Deno.test(`events() with --reconnect ends when the daemon refuses the subscription with ${code}`, async () => {
    await using given = await subscriptions(
      says(HELLO, event(5)),
      (connection) => connection.refuse(code, "not with me"),
    );
    const error = await assertRejects(() => given.run({ reconnect: true }), ApexError, "not with me");
    assertEquals(error.code, code === "of_the_future" ? "failed" : code);
    assertEquals([given.stdout.text, given.daemon.requests.length], [BARE, 2]);
  });
}

Deno.test("events() with --reconnect tries again after a transient refusal, and after a connection without a reply", async () => {
  await using given = await subscriptions(
    says(HELLO, event(5)),
    (connection) => connection.refuse("busy", "too many"),
    () => Promise.resolve(),
    (connection) => connection.send(new TextEncoder().encode('{"ok":tr')),
    says(HELLO, event(6), LIMIT),
  );
  assertEquals(await given.run({ reconnect: true, limit: "2" }), 0);
  assertEquals([given.stdout.text, given.daemon.requests.length], [BARE + BARE, 5]);
});

Deno.test("events() with --reconnect ends when the peer is not an apex daemon", async () => {
  await using given = await subscriptions(
    says(HELLO, event(5)),
    (connection) => connection.send(new TextEncoder().encode("220 mail.example ESMTP\n")),
  );
  const error = await assertRejects(() => given.run({ reconnect: true }), ApexError, "no valid reply");
  assertEquals(error.code, "protocol");
});

Deno.test("events() rejects a device as a cursor file before it connects", async () => {
  const context = testContext({ stdout: new CapturedOutput() });
  const error = await assertRejects(
    () => events(context, { flags: { socket: "/nowhere", cursorFile: "/dev/null" } }),
    ApexError,
    "--cursor-file /dev/null: it is a device, not a regular file",
  );
  assertEquals(error.code, "usage");
});
