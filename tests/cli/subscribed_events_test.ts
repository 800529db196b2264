import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { EventFlags } from "../../src/cli/event_flags.ts";
import { events } from "../../src/cli/events.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { CapturedOutput, testContext } from "../support/cli_context.ts";
import { type OpScript, ScriptedDaemon } from "../support/scripted_daemon.ts";
import { TempDir } from "../support/temp_dir.ts";
import { within } from "../support/within.ts";

const EPOCH = "00000000000000aa";
const OTHER_EPOCH = "00000000000000bb";
const HELLO =
  `{"type":"stream.hello","protocol":1,"epoch":"${EPOCH}","cursor":"${EPOCH}:4","oldest":"${EPOCH}:0"}`;
const LIMIT = '{"type":"stream.bye","reason":"limit"}';
const SHUTDOWN = '{"type":"stream.bye","reason":"shutdown"}';
const GAP = `{"type":"stream.gap","from":"${EPOCH}:5","to":"${OTHER_EPOCH}:9","reason":"epoch"}`;
const event = (seq: number): string => `{"seq":${seq},"type":"session.created"}`;
const BARE = '{"type":"session.created"}\n';

/** Answers, and says these lines. */
function says(...lines: string[]): OpScript {
  return async (connection) => {
    await connection.reply({});
    await connection.send(new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")));
  };
}

interface Surroundings extends AsyncDisposable {
  readonly dir: TempDir;
  readonly daemon: ScriptedDaemon;
  readonly stdout: CapturedOutput;
  readonly stderr: CapturedOutput;
  run(flags: EventFlags): Promise<number>;
}

/** A daemon whose subscriptions do, one after another, what the scripts say; the last script goes on being it. */
async function subscriptions(...scripts: OpScript[]): Promise<Surroundings> {
  await using parts = new AsyncDisposableStack();
  const dir = parts.use(await TempDir.make());
  let opened = 0;
  const daemon = parts.use(
    new ScriptedDaemon(dir.join("apex.socket"), {
      "events.subscribe": (connection, request) =>
        scripts[Math.min(opened++, scripts.length - 1)]!(connection, request),
    }),
  );
  const [stdout, stderr] = [new CapturedOutput(), new CapturedOutput()];
  const context = testContext({ stdout, stderr });
  const owned = parts.move();
  return {
    dir,
    daemon,
    stdout,
    stderr,
    run: (flags) =>
      within(
        20_000,
        "apex events",
        events(context, { flags: { socket: dir.join("apex.socket"), ...flags } }),
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

Deno.test("events with a filter prints bare lines, and keeps the records for itself", async () => {
  const heartbeat = `{"type":"stream.heartbeat","cursor":"${EPOCH}:6"}`;
  await using given = await subscriptions(
    says(HELLO, event(5), heartbeat, '{"type":"stream.of_the_future","x":1}', event(7), SHUTDOWN),
  );
  assertEquals(await given.run({ type: ["session.*", "task.*"], task: "t", container: "c" }), 0);
  assertEquals([given.stdout.text, given.stderr.text], [BARE + BARE, ""]);
  const asked = await given.daemon.received("events.subscribe");
  assertEquals([asked.types, asked.task, asked.container], [["session.*", "task.*"], "t", "c"]);
});

Deno.test("events prints gaps, the snapshot it asked for, and whole cursors, each in its epoch", async () => {
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

Deno.test("events ends with stream_cut where it should not, prints no half line and says how to go on", async () => {
  await using given = await subscriptions(async (connection, request) => {
    await says(HELLO, event(5))(connection, request);
    await connection.send(new TextEncoder().encode('{"seq":6,"type":"ses'));
  });
  const error = await assertRejects(() => given.run({ type: ["*"] }), ApexError, `--after ${EPOCH}:5`);
  assertEquals([error.code, given.stdout.text], ["stream_cut", BARE]);
});

Deno.test("events --reconnect goes on after what was printed, with what is left of its limit", async () => {
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
    /^apex: the event stream broke off; trying to connect again\napex: connected again, going on after 0*aa:4\n/,
  );
  assertMatch(given.stderr.text, /still trying to connect: not yet\n/);
  assertMatch(given.stderr.text, /the daemon has shut down; trying to connect again\n/);
});

Deno.test("events --since asks for the same time again until it knows a cursor", async () => {
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

Deno.test("events --fail-on-gap prints the gap and ends with stream_cut", async () => {
  await using given = await subscriptions(says(HELLO, event(5), GAP, event(10), LIMIT));
  const error = await assertRejects(
    () => given.run({ failOnGap: true, cursorFile: given.dir.join("cursor") }),
    ApexError,
    "events are missing (the log has begun anew)",
  );
  assertEquals([error.code, given.stdout.text], ["stream_cut", `${BARE}${GAP}\n`]);
  // The gap is told: the next one goes on behind it.
  assertEquals(await Deno.readTextFile(given.dir.join("cursor")), `${OTHER_EPOCH}:9\n`);
});

Deno.test("events --cursor-file keeps what was printed, and wins over --after once there is one", async () => {
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

Deno.test("events --timeout ends with a timeout, whether or not something comes", async () => {
  await using given = await subscriptions(async (connection, request) => {
    await says(HELLO, event(5))(connection, request);
    await connection.hungUp();
  });
  const error = await assertRejects(() => given.run({ timeout: "200ms" }), ApexError, "200ms have passed");
  assertEquals([error.code, given.stdout.text], ["timeout", BARE]);
});

Deno.test("events --heartbeat takes three that are missing for the stream's end", async () => {
  await using given = await subscriptions(async (connection, request) => {
    await says(HELLO)(connection, request);
    await connection.hungUp();
  });
  const error = await assertRejects(() => given.run({ heartbeat: "100ms" }), ApexError, "broke off");
  assertEquals(error.code, "stream_cut");
  assertEquals((await given.daemon.received("events.subscribe")).heartbeatMs, 100);
});

Deno.test("events warns of a type that no event has", async () => {
  await using given = await subscriptions(says(HELLO, SHUTDOWN));
  await given.run({ type: ["container:died", "task.*"] });
  assertEquals(
    given.stderr.text,
    "apex: no event that is known here has a type like container:died (see EVENTS.md)\n",
  );
});

const nonsense: [EventFlags, RegExp][] = [
  [{ after: "12" }, /^--after: "12" is no cursor/],
  [{ after: `${EPOCH}:1`, since: "1h" }, /give one of them$/],
  [{ since: "yesterday" }, /^--since: "yesterday" is no length of time/],
  [{ limit: "0" }, /^--limit: "0" is no number of events/],
  [{ timeout: "0s" }, /^--timeout: "0s" is not above 0/],
  [{ heartbeat: "1ms" }, /^--heartbeat: 1ms is too often/],
];

for (const [flags, message] of nonsense) {
  Deno.test(`events refuses ${JSON.stringify(flags)} before it asks`, async () => {
    const context = testContext({ stdout: new CapturedOutput() });
    const error = await assertRejects(
      () => events(context, { flags: { socket: "/nowhere", ...flags } }),
      ApexError,
    );
    assertEquals(error.code, "usage");
    assertMatch(error.message, message);
  });
}

Deno.test("events refuses a cursor file that holds something else", async () => {
  await using given = await subscriptions(says(HELLO));
  await Deno.writeTextFile(given.dir.join("cursor"), "my shopping list");
  const cursorFile = given.dir.join("cursor");
  const error = await assertRejects(() => given.run({ cursorFile }), ApexError, "is no cursor");
  assertEquals([error.code, given.daemon.requests], ["usage", []]);
});
