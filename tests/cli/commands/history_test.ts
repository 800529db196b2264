import { assertEquals, assertRejects } from "@std/assert";
import { history, type HistoryFlags } from "../../../src/cli/commands/history.ts";
import { historyRow } from "../../../src/cli/output/history_row.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import type { ControlRequest } from "../../../src/protocol/operations.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { type OpScript, ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import { TempDir } from "../../support/temp_dir.ts";

const LINES = [
  `{"seq":7,"publishedAt":"2025-01-01T10:00:00.500Z","type":"session.created","session":"dev"}`,
  `{"seq":9,"publishedAt":"2025-01-01T10:00:02.000Z","type":"container.died","containerId":"4f1c","containerName":"web",` +
  `"image":"i","taskId":"t","timestamp":"2025-01-01T10:00:01.000Z","exitCode":137,"signal":"SIGKILL","oomKilled":true}`,
].map((line) => `${line}\n`).join("");
const END = '{"type":"stream.bye","reason":"end"}\n';

const CONTAINERS: OpScript = (connection) =>
  connection.reply({
    engine: "connected",
    containers: [{ id: "id-listed", name: "listed", image: "i", state: "running", labels: {} }],
  });

/** @param text the reply to the first request; the later ones, for one container each, are answered from `journal` */
async function run(text: string, flags: HistoryFlags, journal: Readonly<Record<string, string>> = {}) {
  await using dir = await TempDir.make();
  await using daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    async "events.history"(connection, request) {
      const isFirst = daemon.requests.filter(({ op }) => op === "events.history").length === 1;
      const container = "container" in request ? request.container ?? "" : "";
      await connection.reply({});
      await connection.send(new TextEncoder().encode(isFirst ? text : `${journal[container] ?? ""}${END}`));
    },
    "containers.list": CONTAINERS,
  });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: dir.join("apex.socket") });
  await history(context, { sockets, flags });
  return {
    stdout: context.stdout.text,
    stderr: stderr.text,
    request: daemon.requests[0] as Extract<ControlRequest, { op: "events.history" }>,
    requests: daemon.requests,
  };
}

const local = (time: string): string => {
  const two = (value: number) => String(value).padStart(2, "0");
  const date = new Date(time);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
};

Deno.test("history() with --json prints all lines unchanged", async () => {
  const { stdout, request } = await run(LINES + END, {
    json: true,
    type: ["task.*"],
    since: "1h",
    until: "10m",
  });
  assertEquals(stdout, LINES);
  const now = Date.parse("2025-01-01T00:00:00Z");
  const { v: _v, op: _op, ...params } = request;
  assertEquals(params, { types: ["task.*"], sinceMs: now - 3_600_000, untilMs: now - 600_000 });
});

Deno.test("history() prints a table of the newest hundred events in local time", async () => {
  const { stdout, request } = await run(LINES + END, { task: "t", container: "web" });
  assertEquals(stdout.split("\n"), [
    "TIME                 EVENT            CONTAINER  TASK  DETAILS",
    `${local("2025-01-01T10:00:00.500Z")}  session.created  -          -     dev`,
    `${
      local("2025-01-01T10:00:01.000Z")
    }  container.died   web        t     exit 137, SIGKILL, out of memory`,
    "",
  ]);
  assertEquals([request.task, request.container, request.limit], ["t", "web", 100]);
});

Deno.test("history() shows containers by name, even if the event has only the id", async () => {
  const event = (fields: object) => `${JSON.stringify({ seq: 1, ...fields })}\n`;
  const lines = [
    event({ type: "container.created", containerId: "id-beside", containerName: "beside" }),
    event({ type: "task.started", containerId: "id-beside", taskId: "a" }),
    event({ type: "task.completed", containerId: "id-earlier", taskId: "b" }),
    event({ type: "workspace.created", containerId: "id-listed", taskId: "c" }),
    event({ type: "task.failed", containerId: "id-of-no-name", taskId: "d" }),
  ];
  const earlier = event({ type: "container.died", containerId: "id-earlier", containerName: "earlier" });
  const { stdout, requests } = await run(lines.join("") + END, {}, { "id-earlier": earlier });
  assertEquals(stdout.split("\n").slice(1, -1).map((row) => row.split(/ +/).slice(2, 4)), [
    ["beside", "-"],
    ["beside", "a"],
    ["earlier", "b"],
    ["listed", "c"],
    ["id-of-no-nam", "d"],
  ]);
  // With a task id, the journal does not have to search every event.
  const asked = requests.slice(1).map((request) => "task" in request ? request.task : request.op);
  assertEquals(asked.sort(), ["b", "c", "containers.list", "d"]);
});

Deno.test("history() reports on stderr that no event matches", async () => {
  const { stdout, stderr } = await run(END, {});
  assertEquals([stdout, stderr], ["TIME  EVENT  CONTAINER  TASK  DETAILS\n", "apex: no events match\n"]);
  assertEquals((await run(END, { json: true })).stderr, "");
});

Deno.test("history() prints a gap in its place", async () => {
  const gap =
    '{"type":"stream.gap","from":"0123456789abcdef:7","to":"0123456789abcdef:8","reason":"evicted"}\n';
  const [first, second] = LINES.split(/(?<=\n)/) as [string, string];
  assertEquals((await run(first + gap + second + END, { json: true })).stdout, first + gap + second);
  const { stdout } = await run(gap + END, {});
  assertEquals(
    stdout.split("\n")[1],
    "-     stream.gap  -          -     events after 0123456789abcdef:7, up to 0123456789abcdef:8, are missing",
  );
});

Deno.test("history() throws stream_cut when the connection ends early", async () => {
  const error = await assertRejects(() => run(LINES, { json: true }), ApexError, "is incomplete");
  assertEquals(error.code, "stream_cut");
});

Deno.test("history() throws stream_cut when stream.bye has another reason than 'end'", async () => {
  const slow = '{"type":"stream.bye","reason":"of_the_future"}\n';
  await assertRejects(() => run(LINES + slow, { json: true }), ApexError, "is incomplete");
});

for (const line of ['{"seq":7,"type":', '{"seq":7,"x":1}', '{"seq":7,"type":"t","timestamp":5}', "oops"]) {
  Deno.test(`history() rejects the line ${line}`, async () => {
    const error = await assertRejects(
      () => run(`${line}\n${END}`, {}),
      ApexError,
      "the daemon sent an invalid line",
    );
    assertEquals(error.code, "protocol");
  });
}

Deno.test("history() warns about an unknown event type", async () => {
  const { stderr } = await run(END, { type: ["nope", "task.*"] });
  assertEquals(stderr.split("\n")[0], 'apex: no known event type matches "nope" (see: EVENTS.md)');
});

for (const flags of [{ task: "" }, { container: "" }, { type: [""] }]) {
  Deno.test(`history() rejects ${JSON.stringify(flags)} before it sends a request`, async () => {
    const context = testContext({ stdout: new CapturedOutput() });
    const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: "/nowhere" });
    const error = await assertRejects(() => history(context, { sockets, flags }), ApexError, "is empty");
    assertEquals(error.code, "usage");
  });
}

Deno.test("history() accepts an empty range, and rejects one that ends before it starts, quoting both times", async () => {
  const { request } = await run(END, { since: "0s", until: "0s", json: true });
  assertEquals([request.sinceMs, request.untilMs], Array(2).fill(Date.parse("2025-01-01T00:00:00Z")));
  const error = await assertRejects(() => run(END, { since: "10m", until: "1h ago" }), ApexError);
  assertEquals([error.code, error.message], [
    "usage",
    '--since "10m" (2024-12-31T23:50:00.000Z) is later than --until "1h ago" (2024-12-31T23:00:00.000Z); swap them',
  ]);
});

Deno.test("historyRow() escapes control characters", () => {
  const row = historyRow(
    { type: "container.operation_failed", operation: "start", containerName: "a\x1b[2J", error: "no\nsuch" },
    { names: new Map(), colors: false },
  );
  assertEquals(row, ["-", "container.operation_failed", "a\\x1b[2J", "-", "start, no\\x0asuch"]);
});
