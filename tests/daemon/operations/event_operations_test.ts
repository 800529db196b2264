import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ControlParamsOf } from "../../../src/client/control_exchange.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { type Line, Lines } from "../../support/daemons/lines.ts";
import { startOnEmbeddedEngine, type TestDaemon } from "../../support/daemons/test_daemon.ts";
import { ContainerDriver } from "../../support/engines/container_driver.ts";

const types = (lines: readonly Line[]): string[] => lines.map(({ type }) => type);

/** Runs a task to its end, so that all of its events are published. */
async function runTask(daemon: TestDaemon, taskId: string): Promise<void> {
  using lines = await Lines.open(daemon, "events.subscribe", { types: ["workspace.cleaned"], task: taskId });
  await daemon.run({ taskId, cmd: ["sh", "-c", "exit 3"] });
  await lines.untilType("workspace.cleaned");
}

Deno.test("events.subscribe sends its position, numbered events, and the reason for its end", async () => {
  await using given = await startOnEmbeddedEngine();
  const { daemon } = given;
  using lines = await Lines.open(daemon, "events.subscribe", { limit: 2 });
  const hello = await lines.next();
  const { log } = await daemon.request("status", {});
  assertEquals(hello, {
    type: "stream.hello",
    protocol: 1,
    epoch: log.epoch,
    cursor: `${log.epoch}:1`,
    oldest: `${log.epoch}:0`,
  });
  await daemon.run({ taskId: "t", cmd: ["true"] });
  const rest = await lines.all();
  assertEquals(rest.map(({ seq, type, reason }) => [seq, type, reason]), [
    [2, "task.created", undefined],
    [3, "container.created", undefined],
    [undefined, "stream.bye", "limit"],
  ]);
});

Deno.test("events.subscribe is registered before its reply", async () => {
  await using given = await startOnEmbeddedEngine();
  using driver = new ContainerDriver(given.engine.socketPath);
  for (let round = 0; round < 20; round++) {
    using lines = await Lines.open(given.daemon, "events.subscribe", { container: `c${round}` });
    await driver.create({ name: `c${round}` });
    assertEquals((await lines.untilType("container.created")).containerName, `c${round}`);
  }
});

Deno.test("events.subscribe filters by type, task and container, and its cursor advances", async () => {
  await using given = await startOnEmbeddedEngine();
  const { daemon } = given;
  await runTask(daemon, "a");
  await runTask(daemon, "b");
  const params = { task: "b", types: ["task.*", "container.died"], sinceMs: 0, heartbeatMs: 100 };
  using lines = await Lines.open(daemon, "events.subscribe", params);
  const { head, epoch } = (await daemon.request("status", {})).log;
  const got: Line[] = [];
  for (let line = await lines.next(); line!.type !== "stream.heartbeat"; line = await lines.next()) {
    got.push(line!);
  }
  assertEquals(types(got), ["stream.hello", "task.created", "task.started", "container.died", "task.failed"]);
  assert(got.slice(1).every(({ taskId }) => taskId === "b"));
  assertEquals((await lines.untilType("stream.heartbeat")).cursor, `${epoch}:${head}`);
});

Deno.test("events.subscribe begins with a snapshot of containers, sessions and tasks", async () => {
  await using given = await startOnEmbeddedEngine();
  const { daemon } = given;
  using task = await daemon.runTask({ taskId: "long", cmd: ["sleep", "600"] });
  await task.untilKind("started");
  using lines = await Lines.open(daemon, "events.subscribe", { snapshot: true, types: ["task.*"] });
  const hello = (await lines.next())!;
  const snapshot = (await lines.next())!;
  assertEquals(snapshot.type, "stream.snapshot");
  assertEquals(snapshot.cursor, hello.cursor);
  assertEquals(snapshot.containers, (await daemon.request("containers.list", {})).containers);
  assertEquals(snapshot.tasks, (await daemon.request("tasks.list", {})).tasks);
  assertEquals(snapshot.tasks[0].taskId, "long");
  assertEquals(snapshot.sessions, []);
  await daemon.request("tasks.cancel", { task: "long" });
  assertEquals((await lines.next())!.type, "task.cancelled");
});

Deno.test("events.subscribe resumes after a cursor, across a restart of the daemon", async () => {
  await using given = await startOnEmbeddedEngine();
  await runTask(given.daemon, "a");
  const { epoch, head } = (await given.daemon.request("status", {})).log;
  using before = await Lines.open(given.daemon, "events.subscribe", {});
  await before.untilType("stream.hello");
  await using daemon = await given.daemon.restart(given.engine.socketPath);
  assertEquals((await before.all()).at(-1), { type: "stream.bye", reason: "shutdown" });
  using lines = await Lines.open(daemon, "events.subscribe", { after: `${epoch}:${head - 1}`, limit: 2 });
  const got = await lines.all();
  assertEquals(got.map(({ seq, type }) => [seq, type]), [
    [undefined, "stream.hello"],
    [head, "workspace.cleaned"],
    [head + 1, "engine.connected"],
    [undefined, "stream.bye"],
  ]);
  using other = await Lines.open(daemon, "events.subscribe", { after: "0123456789abcdef:7", limit: 1 });
  const gap = { type: "stream.gap", from: "0123456789abcdef:7", to: `${epoch}:0`, reason: "epoch" };
  assertEquals((await other.all())[1], gap);
});

for (
  const params of [{ after: "invalid" }, { after: "0123456789abcdef:x" }, { heartbeatMs: 1 }, { limit: 0 }]
) {
  Deno.test(`events.subscribe refuses ${JSON.stringify(params)}`, async () => {
    await using given = await startOnEmbeddedEngine();
    const open = (): Promise<Lines> => Lines.open(given.daemon, "events.subscribe", params);
    assertEquals((await assertRejects(open, ApexError)).code, "usage");
  });
}

Deno.test("events.history sends past events in order: of a task, of a time, the newest few", async () => {
  await using given = await startOnEmbeddedEngine();
  const { daemon } = given;
  await runTask(daemon, "a");
  const history = async (params: ControlParamsOf<"events.history">): Promise<Line[]> => {
    using lines = await Lines.open(daemon, "events.history", params);
    const all = await lines.all();
    assertEquals(all.pop(), { type: "stream.bye", reason: "end" });
    return all;
  };
  const all = await history({});
  assertEquals(all.map(({ seq }) => seq), Array.from(all, (_, index) => index + 1));
  assertEquals(all[0]!.type, "engine.connected");
  await runTask(daemon, "b");
  assertEquals(types(await history({ task: "b" })), types(all.slice(1)));
  const newest = await history({ limit: 2, types: ["task.*"] });
  assertEquals(newest.map(({ type, taskId }) => [type, taskId]), [["task.started", "b"], [
    "task.failed",
    "b",
  ]]);
  const splitMs = Date.parse(newest[0]!.publishedAt);
  const [earlier, later] = [await history({ untilMs: splitMs }), await history({ sinceMs: splitMs })];
  assertEquals([...earlier, ...later], await history({}));
  assert(earlier.every(({ publishedAt }) => Date.parse(publishedAt) < splitMs));
  await assertRejects(
    () => history({ sinceMs: 2, untilMs: 1 }),
    ApexError,
    "sinceMs (2) is later than untilMs (1)",
  );
  assertEquals(await history({ container: "unknown" }), []);
});

Deno.test("without a journal, live events are sent, and past events are refused with the reason", async () => {
  await using given = await startOnEmbeddedEngine({ journal: { isKept: false } });
  const { daemon } = given;
  assertEquals((await daemon.request("status", {})).journal!.state, "off");
  using lines = await Lines.open(daemon, "events.subscribe", { types: ["task.failed"] });
  await daemon.run({ taskId: "t", cmd: ["false"] });
  assertEquals((await lines.untilType("task.failed")).taskId, "t");
  const past = [
    () => Lines.open(daemon, "events.history", {}),
    () => Lines.open(daemon, "events.subscribe", { sinceMs: 0 }),
  ];
  for (const open of past) await assertRejects(open, ApexError, "keeps no journal");
});
