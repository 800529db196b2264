import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { openStream } from "../../../src/client/control_stream.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { encodeFrame, frameJson } from "../../../src/protocol/frames.ts";
import type { TaskResult } from "../../../src/protocol/task_operations.ts";
import { startOnEmbeddedEngine, StreamReader } from "../../support/daemons/test_daemon.ts";
import { TempDir } from "../../support/temp_dir.ts";

const sh = (script: string) => ["sh", "-c", script];

Deno.test("tasks.run sends the start, both streams separately, and at last how the task ended", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const ran = await fixture.daemon.run({ taskId: "t1", cmd: sh("echo out; echo err >&2; exit 3") });
  assertEquals([ran.stdout, ran.stderr], ["out\n", "err\n"]);
  assertEquals(ran.kinds.filter((kind) => kind !== "data" && kind !== "stderr"), ["started", "exit"]);
  const { containerId } = ran.task;
  assertEquals(ran.payloads.started, { taskId: "t1", containerId });
  assertEquals(
    [ran.task.taskId, ran.task.state, ran.task.reason, ran.task.exitCode, ran.task.image],
    ["t1", "failed", "exit", 3, "busybox:local"],
  );
});

Deno.test("tasks.run publishes a task's events in order", async () => {
  await using fixture = await startOnEmbeddedEngine();
  using events = await fixture.daemon.events();
  await fixture.daemon.request("status", {});
  await fixture.daemon.run({ taskId: "t1", cmd: ["true"] });
  const lines = await events.until(({ type }) => type === "workspace.cleaned");
  assertEquals(lines.map(({ type }) => type), [
    "task.created",
    "container.created",
    "workspace.created",
    "container.started",
    "task.started",
    "container.died",
    "task.completed",
    "container.removed",
    "workspace.cleaned",
  ]);
  assertEquals(new Set(lines.map(({ taskId }) => taskId)), new Set(["t1"]));
});

for (
  const [name, cmd, output] of [
    ["says nothing", ["true"], ""],
    ["says something and ends at once", ["echo", "hi"], "hi\n"],
    ["says a lot and ends at once", ["head", "-c", "300000", "/dev/zero"], "\0".repeat(300_000)],
  ] as const
) {
  Deno.test(`tasks.run sends all output of 100 commands of which each ${name}`, async () => {
    await using fixture = await startOnEmbeddedEngine();
    for (let batch = 0; batch < 10; batch++) {
      const runs = Array.from({ length: 10 }, () => fixture.daemon.run({ cmd: [...cmd] }));
      for (const { stdout, task, payloads } of await Promise.all(runs)) {
        assert(stdout === output, `${stdout.length} characters of ${output.length}`);
        assertEquals([task.state, payloads.exit?.outputError], ["completed", undefined]);
      }
    }
  });
}

Deno.test("tasks.run keeps the container of a slow client until that has received all output", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon } = fixture;
  using events = await daemon.events();
  const size = 5_000_000;
  using client = await daemon.runTask({ taskId: "big", cmd: ["head", "-c", `${size}`, "/dev/zero"] });
  await daemon.stream("tasks.wait", { task: "big" });
  assertEquals((await daemon.request("containers.list", {})).containers.length, 1);
  const { stdout, payloads } = await client.end();
  assertEquals([stdout.length, payloads.exit?.outputError], [size, undefined]);
  await events.until(({ type }) => type === "workspace.cleaned");
  assertEquals((await daemon.request("containers.list", {})).containers, []);
});

Deno.test("tasks.run continues without its client, and removes the container", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon } = fixture;
  using events = await daemon.events();
  await using dir = await TempDir.make();
  const gate = dir.join("gate");
  {
    using client = await daemon.runTask({
      taskId: "left",
      cmd: sh("while ! [ -e $GATE ]; do sleep 0.01; done; exit 7"),
      env: { GATE: gate },
    });
    await client.untilKind("started");
  }
  const waiting = daemon.stream("tasks.wait", { task: "left" });
  await Deno.writeTextFile(gate, "");
  const { payloads } = await waiting;
  const task = payloads.exit?.task as Record<string, unknown>;
  assertEquals([task.state, task.exitCode], ["failed", 7]);
  await events.until(({ type }) => type === "workspace.cleaned");
});

Deno.test("tasks.run reports that the task is pending, and starts it later", async () => {
  await using fixture = await startOnEmbeddedEngine({ maxConcurrentTasks: 1 });
  const { daemon } = fixture;
  using first = await daemon.runTask({ taskId: "first", cmd: ["sleep", "60"] });
  await first.untilKind("started");
  using second = await daemon.runTask({ taskId: "second", cmd: ["true"] });
  await second.untilKind("pending");
  assertEquals((await daemon.request("status", {})).tasks, { running: 1, pending: 1 });
  await daemon.request("tasks.cancel", { task: "first" });
  const { kinds, payloads } = await second.end();
  assertEquals([kinds, payloads.pending], [["pending", "started", "exit"], { ahead: 1 }]);
});

Deno.test("tasks.run reports invalid frames as input to the client, and the command reads the end", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon } = fixture;
  const task = { taskId: "t1", cmd: sh("cat; exit 7"), stdin: true };
  using stream = await openStream(daemon.paths.controlSocket, "tasks.run", { task });
  await stream.send(encodeFrame("data", new TextEncoder().encode("hello\n")));
  await stream.send(new TextEncoder().encode("GET / HTTP/1.1\r\n"));
  let last: unknown;
  for await (const frame of stream.frames) last = frame.kind === "exit" ? frameJson(frame) : last;
  assertEquals(last, { error: "no frame is of kind 71" });
  const { payloads } = await daemon.stream("tasks.wait", { task: "t1" });
  assertEquals((payloads.exit?.task as TaskResult).exitCode, 7);
});

Deno.test("tasks.run refuses invalid tasks and used ids, and leaves nothing behind", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon } = fixture;
  const refused = async (task: Record<string, unknown>) => {
    const error = await assertRejects(() => daemon.runTask({ cmd: ["sleep", "60"], ...task }), ApexError);
    return error.code;
  };
  assertEquals(await refused({ taskId: "a b" }), "usage");
  assertEquals(await refused({ cpus: -1 }), "usage");
  using client = await daemon.runTask({ taskId: "taken", cmd: ["sleep", "60"] });
  await client.untilKind("started");
  assertEquals(await refused({ taskId: "taken" }), "conflict");
  assertEquals((await daemon.request("containers.list", {})).containers.length, 1);
  await daemon.request("tasks.cancel", { task: "taken" });
  assertEquals((await daemon.request("tasks.list", { all: true })).tasks.length, 1);
});

Deno.test("tasks.run of a command that cannot start ends with the reason, and without output", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon } = fixture;
  using events = await daemon.events();
  await daemon.request("status", {});
  const { kinds, task } = await daemon.run({ taskId: "t", cmd: ["/no/such/program"] });
  assertEquals([kinds, task.state, task.reason], [["exit"], "failed", "error"]);
  assertStringIncludes(task.error ?? "", "/no/such/program");
  const lines = await events.until(({ type }) => type === "workspace.cleaned");
  const failed = lines.findIndex(({ type }) => type === "container.operation_failed");
  assertEquals([lines[failed]?.operation, lines[failed]?.taskId], ["start", "t"]);
  assertEquals(lines[failed + 1]?.type, "task.failed");
});

Deno.test("tasks.run passes on environment, directory and mounts", async () => {
  await using fixture = await startOnEmbeddedEngine();
  await using dir = await TempDir.make();
  await Deno.writeTextFile(dir.join("file"), "found");
  const { stdout } = await fixture.daemon.run({
    cmd: sh("echo $GREETING; pwd; cat file"),
    env: { GREETING: "good day" },
    projectDir: dir.path,
  });
  // The containers of the embedded engine see the directories of this machine.
  assertEquals(stdout, `good day\n${dir.path}\nfound`);
});

Deno.test("tasks.signal reaches the task, and tasks.wait and tasks.list report its end", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon } = fixture;
  const loop = "while :; do sleep 0.01; done";
  using client = await daemon.runTask({
    taskId: "t",
    cmd: sh(`trap 'echo caught; exit 5' USR1; echo ready; ${loop}`),
  });
  await client.untilSaid("ready");
  const [listed] = (await daemon.request("tasks.list", {})).tasks;
  assertEquals([listed?.taskId, listed?.state], ["t", "running"]);
  await daemon.request("tasks.signal", { task: "t", signal: "SIGUSR1" });
  const [ran, waited] = await Promise.all([client.end(), daemon.stream("tasks.wait", { task: "t" })]);
  const task = ran.payloads.exit?.task as TaskResult;
  assertEquals([ran.stdout, task.exitCode], ["ready\ncaught\n", 5]);
  assertEquals([waited.kinds, waited.payloads.exit?.task as unknown], [["exit"], task]);
  assertEquals((await daemon.request("tasks.list", {})).tasks, []);
  assertEquals((await daemon.request("tasks.list", { all: true })).tasks, [task]);
});

Deno.test("tasks.cancel replies when the task has ended, and refuses a task that has ended", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon } = fixture;
  using client = await daemon.runTask({ taskId: "c", cmd: ["sleep", "60"] });
  await client.untilKind("started");
  const { task } = await daemon.request("tasks.cancel", { task: "c" });
  assertEquals(task.state, "cancelled");
  assertEquals((await client.end()).payloads.exit?.task as unknown, task);
  for (const [task, code] of [["c", "conflict"], ["unknown", "not_found"]] as const) {
    const error = await assertRejects(() => daemon.request("tasks.cancel", { task }), ApexError);
    assertEquals(error.code, code);
  }
  const error = await assertRejects(() => daemon.stream("tasks.wait", { task: "unknown" }), ApexError);
  assertEquals([error.code, error.message], [
    "not_found",
    'cannot wait for task "unknown": no such task (see: apex tasks --all)',
  ]);
});

Deno.test("a restarted daemon adopts the tasks of the last one, and clients find them", async () => {
  await using fixture = await startOnEmbeddedEngine();
  await using dir = await TempDir.make();
  const gate = dir.join("gate");
  {
    using client = await fixture.daemon.runTask({
      taskId: "long",
      cmd: sh("echo before; while ! [ -e $GATE ]; do sleep 0.01; done; echo after; exit 4"),
      env: { GATE: gate },
    });
    await client.untilSaid("before");
    using other = await fixture.daemon.runTask({ taskId: "done", cmd: ["true"] });
    await other.end();
    await using next = await fixture.daemon.restart(fixture.engine.socketPath);
    const { kinds } = await client.end();
    assert(!kinds.includes("exit"), "the last daemon sent an invalid end");
    assertEquals((await next.request("tasks.list", {})).tasks.map(({ taskId }) => taskId), ["long"]);
    assertEquals((await next.request("tasks.list", { all: true })).tasks.length, 2);
    assertEquals((await next.request("workspaces.list", {})).workspaces.map(({ orphaned }) => orphaned), [
      false,
    ]);
    using logs = await StreamReader.open(next, "containers.logs", { target: "long", follow: true });
    await logs.untilSaid("before");
    const waiting = next.stream("tasks.wait", { task: "long" });
    await Deno.writeTextFile(gate, "");
    const task = (await waiting).payloads.exit?.task as TaskResult;
    assertEquals([task.state, task.exitCode], ["failed", 4]);
    assertEquals((await logs.end()).stdout, "before\nafter\n");
  }
});
