import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { EventFlags } from "../../../src/cli/args/event_flags.ts";
import { events } from "../../../src/cli/commands/events.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
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

const OTHER_EPOCH = "00000000000000bb";
const GAP = `{"type":"stream.gap","from":"${EPOCH}:5","to":"${OTHER_EPOCH}:9","reason":"epoch"}`;

Deno.test("events() with a filter prints bare events, without the records of the stream", async () => {
  const heartbeat = `{"type":"stream.heartbeat","cursor":"${EPOCH}:6"}`;
  await using given = await subscriptions(
    says(HELLO, event(5), heartbeat, '{"type":"stream.of_the_future","x":1}', event(7), SHUTDOWN),
  );
  assertEquals(await given.run({ type: ["session.*", "task.*"], task: "t", container: "c" }), 0);
  assertEquals([given.stdout.text, given.stderr.text], [BARE + BARE, ""]);
  const asked = await given.daemon.received("events.subscribe");
  assertEquals([asked.types, asked.task, asked.container], [["session.*", "task.*"], "t", "c"]);
});

Deno.test("events() prints gaps, the requested snapshot, and cursors with their epoch", async () => {
  const snapshot =
    `{"type":"stream.snapshot","containers":[],"sessions":[],"tasks":[],"cursor":"${EPOCH}:4"}`;
  await using given = await subscriptions(says(HELLO, snapshot, event(5), GAP, event(10), LIMIT));
  assertEquals(await given.run({ seq: true, snapshot: true, limit: "2" }), 0);
  assertEquals(given.stdout.text.split("\n"), [
    snapshot,
    `{"cursor":"${EPOCH}:5","type":"session.created"}`,
    GAP,
    `{"cursor":"${OTHER_EPOCH}:10","type":"session.created"}`,
    "",
  ]);
});

Deno.test("events() throws stream_cut when the stream breaks off, prints no partial line, and says how to resume", async () => {
  await using given = await subscriptions(async (connection, request) => {
    await says(HELLO, event(5))(connection, request);
    await connection.send(new TextEncoder().encode('{"seq":6,"type":"ses'));
  });
  const error = await assertRejects(() => given.run({ type: ["*"] }), ApexError, `--after ${EPOCH}:5`);
  assertEquals([error.code, given.stdout.text], ["stream_cut", BARE]);
});

Deno.test("events() with --fail-on-gap prints the gap and throws stream_cut", async () => {
  await using given = await subscriptions(says(HELLO, event(5), GAP, event(10), LIMIT));
  const error = await assertRejects(
    () => given.run({ failOnGap: true, cursorFile: given.dir.join("cursor") }),
    ApexError,
    "are missing: the event log was replaced (--fail-on-gap)",
  );
  assertEquals([error.code, given.stdout.text], ["stream_cut", `${BARE}${GAP}\n`]);
  // The gap is reported, so the next process resumes after it.
  assertEquals(await Deno.readTextFile(given.dir.join("cursor")), `${OTHER_EPOCH}:9\n`);
});

Deno.test("events() with --timeout throws timeout, even if events arrive", async () => {
  await using given = await subscriptions(async (connection, request) => {
    await says(HELLO, event(5))(connection, request);
    await connection.hungUp();
  });
  const error = await assertRejects(
    () => given.run({ timeout: "200ms" }),
    ApexError,
    "timed out after 200ms",
  );
  assertEquals([error.code, given.stdout.text], ["timeout", BARE]);
});

Deno.test("events() with --heartbeat throws stream_cut after three missing heartbeats", async () => {
  await using given = await subscriptions(async (connection, request) => {
    await says(HELLO)(connection, request);
    await connection.hungUp();
  });
  const error = await assertRejects(
    () => given.run({ heartbeat: "100ms" }),
    ApexError,
    "broke off: no heartbeat for 0.3 s",
  );
  assertEquals(error.code, "stream_cut");
  assertEquals((await given.daemon.received("events.subscribe")).heartbeatMs, 100);
});

Deno.test("events() accepts reasons that only a newer daemon knows", async () => {
  const gap = GAP.replace('"epoch"}', '"of\\u001bnow"}');
  await using given = await subscriptions(
    says(HELLO, gap, event(10), '{"type":"stream.bye","reason":"moved"}'),
    says(HELLO, gap),
  );
  const moved = await assertRejects(
    () => given.run({ type: ["*"] }),
    ApexError,
    "the daemon ended it (moved)",
  );
  assertEquals([moved.code, given.stdout.text], ["stream_cut", `${gap}\n${BARE}`]);
  const missing = await assertRejects(
    () => given.run({ failOnGap: true }),
    ApexError,
    "are missing: of\\x1bnow (--fail-on-gap)",
  );
  assertEquals(missing.code, "stream_cut");
});

Deno.test("events() with --reconnect reconnects after a stream.bye with an unknown reason", async () => {
  await using given = await subscriptions(
    says(HELLO, event(5), '{"type":"stream.bye","reason":"moved"}'),
    says(HELLO, event(6), LIMIT),
  );
  assertEquals(await given.run({ reconnect: true, limit: "2" }), 0);
  assertMatch(given.stderr.text, /^apex: the daemon ended the event stream \(moved\); reconnecting/);
});

Deno.test("events() warns about an unknown event type", async () => {
  await using given = await subscriptions(says(HELLO, SHUTDOWN));
  await given.run({ type: ["container:died", "task.*"] });
  assertEquals(
    given.stderr.text,
    'apex: no known event type matches "container:died" (see: EVENTS.md)\n',
  );
});

const invalid: [EventFlags, RegExp][] = [
  [{ after: "12" }, /^--after: invalid cursor "12"/],
  [{ after: `${EPOCH}:1`, since: "1h" }, /cannot be combined$/],
  [{ since: "yesterday" }, /^--since: invalid time "yesterday"/],
  [{ limit: "0" }, /^--limit: "0" must be a positive integer/],
  [{ timeout: "0s" }, /^--timeout: "0s" must be greater than 0/],
  [{ heartbeat: "1ms" }, /^--heartbeat: 1ms is too short/],
  [{ heartbeat: "25h" }, /^--heartbeat: 25h is too long \(at most 1d\)$/],
  [{ cursorFile: "" }, /^--cursor-file: the file name is empty/],
  [{ task: "" }, /^--task: the id is empty \(is a variable not set\?\)$/],
  [{ container: "" }, /^--container: the name or id is empty \(is a variable not set\?\)$/],
  [{ type: ["task.*", ""] }, /^--type: the pattern is empty \(is a variable not set\?\)$/],
  [{ task: "t".repeat(257) }, /^--task: the id has 257 characters \(at most 256 are allowed\)$/],
  [{ type: Array(65).fill("task.*") }, /^--type: given 65 times \(at most 64 are allowed\)$/],
];

for (const [flags, message] of invalid) {
  Deno.test(`events() rejects ${JSON.stringify(flags).slice(0, 60)} before it connects`, async () => {
    const context = testContext({ stdout: new CapturedOutput() });
    const error = await assertRejects(
      () => events(context, { flags: { socket: "/nowhere", ...flags } }),
      ApexError,
    );
    assertEquals(error.code, "usage");
    assertMatch(error.message, message);
  });
}
