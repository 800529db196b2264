/** Tasks on the embedded engine: their ends and their events. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { TaskInput } from "../../src/orchestrator/task_input.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { storyOf, TaskLayers } from "../support/containers/task_layers.ts";
import { eventually } from "../support/daemons/apex_process.ts";
import { TestEngine } from "../support/engines/embedded_engine.ts";
import { TempDir } from "../support/temp_dir.ts";

Deno.test("a task publishes its events in order, and leaves no container", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const handle = layers.run("exit 0", { taskId: "t1" });
  assertEquals(layers.of("t1"), ["task:created"]);
  assertEquals([handle.task.state, handle.pendingAhead], ["pending", 0]);
  assertEquals((await layers.startOf(handle)).startedAt instanceof Date, true);
  const task = await layers.endOf(handle);
  assertEquals([task.state, task.reason, task.exitCode, task.error], ["completed", "exit", 0, undefined]);
  assert(task.createdAt <= task.startedAt! && task.startedAt! <= task.endedAt!);
  assertEquals(await layers.until("t1", "workspace-cleaned"), storyOf("task:completed exit"));
  assertEquals(await layers.containerNames(), []);
  assertEquals(layers.complaints, []);
  const [created, started, completed] = layers.taskEvents;
  assertEquals(created, { taskId: "t1", timestamp: task.createdAt });
  assertEquals(started, { taskId: "t1", timestamp: task.startedAt!, containerId: task.containerId! });
  assertEquals(completed, {
    taskId: "t1",
    timestamp: task.endedAt!,
    containerId: task.containerId!,
    exitCode: 0,
    reason: "exit",
  });
});

const ENDS: { script: string; end: unknown[] }[] = [
  { script: "exit 0", end: ["completed", "exit", 0] },
  { script: "exit 1", end: ["failed", "exit", 1] },
  { script: "exit 3", end: ["failed", "exit", 3] },
  { script: "exit 143", end: ["failed", "exit", 143] },
  { script: "kill -9 $$", end: ["failed", "signal", 137] },
];

for (const { script, end } of ENDS) {
  Deno.test(`a task that runs "${script}" is ${end.join(", ")}`, async () => {
    await using engine = await TestEngine.start();
    await using layers = await TaskLayers.start(engine);
    const { taskId, state, reason, exitCode } = await layers.runToEnd(script);
    assertEquals([state, reason, exitCode], end);
    assertEquals(await layers.until(taskId, "workspace-cleaned"), storyOf(`task:${state} ${reason}`));
  });
}

Deno.test("a task has failed by a signal when another client removes its container by force", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const handle = layers.run("sleep 600", { taskId: "t1" });
  await layers.startOf(handle);
  await layers.byHand("DELETE", "t1", "?force=1");
  const { state, reason, exitCode } = await layers.endOf(handle);
  assertEquals([state, reason, exitCode], ["failed", "signal", 137]);
  assertEquals(await layers.until("t1", "workspace-cleaned"), storyOf("task:failed signal"));
  assertEquals(layers.complaints, []);
});

Deno.test("a task has failed by a signal when another client stops its container", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const handle = layers.run("exec sleep 600", { taskId: "t1" });
  await layers.startOf(handle);
  await layers.byHand("POST", "t1", "/stop?t=1");
  const { state, reason } = await layers.endOf(handle);
  assertEquals([state, reason], ["failed", "signal"]);
  assertEquals(
    await layers.until("t1", "workspace-cleaned"),
    storyOf("task:failed signal").map((each) => each === "container:died" ? "container:stopped" : each),
  );
});

Deno.test("runTask() rejects an id in use, and accepts it when that task has ended", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const first = layers.run("sleep 600", { taskId: "t1" });
  const error = assertThrows(() => layers.run("true", { taskId: "t1" }), ApexError, '"t1"');
  assertEquals(error.code, "conflict");
  await layers.startOf(first);
  assertThrows(() => layers.run("true", { taskId: "t1" }), ApexError, "running");
  await layers.orchestrator.cancelTask("t1");
  // The container of the first run may still be being removed.
  const again = await layers.runToEnd("exit 3", { taskId: "t1" });
  assertEquals([again.state, again.exitCode], ["failed", 3]);
  assertEquals(layers.orchestrator.getTask("t1"), again);
  assertEquals(layers.orchestrator.listTasks({ all: true }), [again]);
  await layers.untilTrue(
    () => layers.of("t1").filter((each) => each === "workspace-cleaned").length === 2,
    () => "two cleaned workspaces",
  );
  assertEquals(await layers.containerNames(), []);
});

Deno.test("runTask() accepts the id of a task whose container was kept, and keepsContainer() stays true for it", async () => {
  await using engine = await TestEngine.start();
  await using temp = await TempDir.make();
  const where = { socketPath: engine.socketPath, path: temp.join("apex.db") };
  await using layers = await TaskLayers.start(where);
  const { containerId: first } = await layers.runToEnd("exit 0", { taskId: "t1", keep: true });
  const { containerId: second } = await layers.runToEnd("exit 1", { taskId: "t1", keepOnFailure: true });
  const again = await layers.runToEnd("exit 0", { taskId: "t1", keepOnFailure: true });
  assertEquals(again.state, "completed");
  await layers.until("t1", "workspace-cleaned");
  const keeps = ({ orchestrator }: TaskLayers) =>
    [first, second, again.containerId].map((id) => orchestrator.keepsContainer(id!));
  assertEquals(layers.workspaces.orphans().map(({ containerId }) => containerId), [first, second]);
  assertEquals(keeps(layers).slice(0, 2), [true, true]);
  await layers[Symbol.asyncDispose]();

  await using next = await TaskLayers.start(where);
  assertEquals(keeps(next).slice(0, 2), [true, true]);
  await next.workspaces.removeOrphans([first!]);
  await next.until("t1", "container:removed");
  assertEquals(keeps(next), [false, true, false]);
});

Deno.test("keepOnFailure keeps only the container of a failed task", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  await layers.runToEnd("exit 1", { taskId: "bad", keepOnFailure: true });
  await layers.runToEnd("exit 0", { taskId: "good", keepOnFailure: true });
  await layers.until("good", "workspace-cleaned");
  assertEquals(await layers.containerNames(), ["apex-task-bad"]);
});

Deno.test("200 concurrent tasks publish exactly their events in order", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const handles = Array.from({ length: 200 }, (_, i) => layers.run(`exit ${i % 2}`, { taskId: `t${i}` }));
  for (const [i, handle] of handles.entries()) {
    const { state, exitCode } = await layers.endOf(handle);
    assertEquals([state, exitCode], i % 2 === 0 ? ["completed", 0] : ["failed", 1]);
  }
  for (const [i, { taskId }] of handles.entries()) {
    const story = await layers.until(taskId, "workspace-cleaned");
    assertEquals(story, storyOf(i % 2 === 0 ? "task:completed exit" : "task:failed exit"), taskId);
  }
  assertEquals(await layers.containerNames(), []);
  assertEquals(layers.orchestrator.listTasks(), []);
  assertEquals(layers.orchestrator.listTasks({ all: true }).length, 200);
  assertEquals(layers.complaints, []);
});

Deno.test("a task that runs longer than its timeout is stopped, and has failed with timeout", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start({
    ...engine,
    socketPath: engine.socketPath,
    stopTimeoutSeconds: 1,
  });
  const task = await layers.runToEnd("exec sleep 600", { taskId: "t1", timeoutMs: 50 });
  assertEquals([task.state, task.reason, task.exitCode], ["failed", "timeout", 143]);
  const story = await layers.until("t1", "workspace-cleaned");
  assertEquals(story.filter((each) => each.startsWith("task:")), [
    "task:created",
    "task:started",
    "task:failed timeout",
  ]);
});

Deno.test("a timeout does not affect a task that ends before it", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const task = await layers.runToEnd("exit 0", { timeoutMs: 60_000 });
  assertEquals([task.state, task.reason], ["completed", "exit"]);
});

Deno.test("a task whose command does not exist has failed with error and 127 after its failed start", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const task = await layers.runToEnd("", { taskId: "t1", cmd: ["no-such-command"] });
  assertEquals([task.state, task.reason, task.exitCode], ["failed", "error", 127]);
  assertStringIncludes(task.error ?? "", "no-such-command");
  const story = await layers.until("t1", "workspace-cleaned");
  assertEquals(story.filter((each) => each !== "container:died"), [
    "task:created",
    "container:created",
    "workspace-created",
    "start failed",
    "task:failed error",
    "container:removed",
    "workspace-cleaned",
  ]);
  assertEquals(await layers.containerNames(), []);
});

Deno.test("a task whose container cannot be created has failed with error", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  for (const spec of [{ projectDir: "/no/such/directory" }, { memoryBytes: 1 }, { image: "UPPER CASE" }]) {
    const { taskId, state, reason, error } = await layers.runToEnd("true", spec);
    assertEquals([state, reason], ["failed", "error"]);
    const value = String(Object.values(spec)[0]);
    assertStringIncludes(error ?? "", value);
    assertEquals(layers.of(taskId).filter((each) => each !== "create failed"), [
      "task:created",
      "task:failed error",
    ]);
  }
  assertEquals(await layers.containerNames(), []);
});

Deno.test("a task with stdin and no onInput reads the end of its input at once", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const { state, reason } = await layers.runToEnd("cat; exit 5", { stdin: true });
  assertEquals([state, reason], ["failed", "exit"]);
});

Deno.test("TaskInput accepts bytes until the command has exited, and drops them after that", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const opened = Promise.withResolvers<TaskInput>();
  const handle = layers.run('read -r line; [ "$line" = hello ] && exit 5', { stdin: true }, {
    onInput: opened.resolve,
  });
  const input = await opened.promise;
  await input.write(new TextEncoder().encode("hello\n"));
  assertEquals((await layers.endOf(handle)).exitCode, 5);
  await input.write(new Uint8Array(1_000_000));
  await input.end();
});

Deno.test("runTask() rejects an invalid value, names it, and publishes nothing", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const refused: [Record<string, unknown>, string][] = [
    [{ taskId: "a b" }, '"a b"'],
    [{ taskId: "-a" }, '"-a"'],
    [{ taskId: "x".repeat(65) }, "1 to 64"],
    [{ image: "" }, "image"],
    [{ timeoutMs: 0 }, "0 ms"],
    [{ timeoutMs: NaN }, "NaN ms"],
  ];
  for (const [spec, words] of refused) {
    assertEquals(assertThrows(() => layers.run("true", spec), ApexError, words).code, "usage");
  }
  assertEquals([layers.seen, layers.orchestrator.listTasks({ all: true })], [[], []]);
});

Deno.test("runTask() chooses a random id for a task without one", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const handles = [layers.run("true"), layers.run("true")];
  const ids = handles.map(({ taskId }) => taskId);
  assertEquals(new Set(ids).size, 2);
  assertEquals(ids.every((id) => /^[a-z2-9]{8}$/.test(id)), true);
  for (const handle of handles) await layers.endOf(handle);
});

Deno.test("waitTask() resolves with the end of a running or ended task, and rejects for an unknown one", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const handle = layers.run("exit 3", { taskId: "t1" });
  const waited = layers.orchestrator.waitTask("t1", AbortSignal.timeout(60_000));
  const ended = await layers.endOf(handle);
  assertEquals(await waited, ended);
  assertEquals(await layers.orchestrator.waitTask("t1"), ended);
  const error = await assertRejects(() => layers.orchestrator.waitTask("t2"), ApexError, '"t2"');
  assertEquals(error.code, "not_found");
});

Deno.test("waitTask() rejects when its AbortSignal aborts", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  layers.run("sleep 600", { taskId: "t1" });
  const abort = new AbortController();
  const waited = layers.orchestrator.waitTask("t1", abort.signal);
  abort.abort(new Error("enough"));
  await assertRejects(() => waited, Error, "enough");
  await layers.orchestrator.cancelTask("t1");
});

Deno.test("signalTask() reaches the command, and rejects an unknown signal, an unknown task, and a queued task", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start({ socketPath: engine.socketPath, maxConcurrentTasks: 1 });
  const { orchestrator } = layers;
  const listens = `${engine.dir}/listens`;
  const script = `trap 'exit 7' INT; : > ${listens}; while :; do sleep 0.01; done`;
  const handle = layers.run(script, { taskId: "t1" });
  layers.run("true", { taskId: "t2" });
  await layers.startOf(handle);
  const refusals: [string, string, string][] = [
    ["t1", "SIGUNKNOWN", "usage"],
    ["t2", "SIGINT", "conflict"],
    ["t3", "SIGINT", "not_found"],
  ];
  for (const [taskId, signal, code] of refusals) {
    const error = await assertRejects(() => orchestrator.signalTask(taskId, signal), ApexError);
    assertEquals(error.code, code);
  }
  const files = () => Array.fromAsync(Deno.readDir(engine.dir), ({ name }) => name);
  await eventually(async () => (await files()).includes("listens"), "the command listens for the signal");
  await orchestrator.signalTask("t1", "SIGINT");
  const { state, reason, exitCode } = await layers.endOf(handle);
  assertEquals([state, reason, exitCode], ["failed", "exit", 7]);
  await orchestrator.waitTask("t2");
});

Deno.test("a listener that throws is logged, and affects neither the task nor other listeners", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const names = [
    "container:started",
    "task:started",
    "container:died",
    "task:completed",
    "workspace-cleaned",
  ];
  for (const name of names) {
    layers.orchestrator.on(name as "task:started", () => {
      throw new Error("no");
    });
  }
  const { state } = await layers.runToEnd("exit 0", { taskId: "t1" });
  assertEquals(state, "completed");
  assertEquals(await layers.until("t1", "workspace-cleaned"), storyOf("task:completed exit"));
  assertEquals(layers.complaints, names.map((name) => `a listener of ${name} failed: no`));
});

Deno.test("getTask() agrees with a task's event in its listener", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const states: unknown[] = [];
  layers.orchestrator.on("task:*", ({ taskId }, name) => {
    const { orchestrator, storage } = layers;
    const row = storage.tasks.get(taskId)?.state;
    states.push([name, orchestrator.getTask(taskId)?.state, row, orchestrator.listTasks().length]);
  });
  await layers.runToEnd("exit 0");
  assertEquals(states, [
    ["task:created", "pending", "pending", 1],
    ["task:started", "running", "running", 1],
    ["task:completed", "completed", "completed", 0],
  ]);
});

Deno.test("holdCleanup delays the removal of the container", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const held = Promise.withResolvers<void>();
  await layers.endOf(layers.run("exit 0", { taskId: "t1" }, { holdCleanup: held.promise }));
  // When another task is cleaned up, the first one would have been too, without the hold.
  await layers.runToEnd("exit 0", { taskId: "t2" });
  await layers.until("t2", "workspace-cleaned");
  assertEquals(await layers.containerNames(), ["apex-task-t1"]);
  held.resolve();
  await layers.until("t1", "workspace-cleaned");
});

Deno.test("tasks that wait for the cleanup of the previous run of their id do not delay other tasks", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const held = Promise.withResolvers<void>();
  // More than the limit of concurrent requests to the engine.
  const ids = Array.from({ length: 20 }, (_, i) => `t${i}`);
  const earlier = ids.map((taskId) => layers.run("exit 0", { taskId }, { holdCleanup: held.promise }));
  for (const handle of earlier) await layers.endOf(handle);
  const later = ids.map((taskId) => layers.run("exit 4", { taskId }));
  assertEquals((await layers.runToEnd("exit 0", { taskId: "other" })).state, "completed");
  held.resolve();
  for (const handle of later) assertEquals((await layers.endOf(handle)).exitCode, 4);
  await layers.untilTrue(
    () => ids.every((id) => layers.of(id).filter((event) => event === "workspace-cleaned").length === 2),
    () => "every cleanup",
  );
  assertEquals(await layers.containerNames(), []);
});

Deno.test("signalTask() publishes no failure when the command has just exited", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start({ socketPath: engine.socketPath });
  const handle = layers.run("exec sleep 600", { taskId: "t" });
  await layers.startOf(handle);
  // A kill may be part of a stop, so `die` is published only if no stop event follows.
  await layers.byHand("POST", "t", "/kill?signal=INT");
  await layers.byHand("POST", "t", "/wait");
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await layers.orchestrator.signalTask("t", "SIGINT");
    } catch (error) {
      // On a very slow machine, the exit may have been published already.
      if (!(error instanceof ApexError && error.code === "conflict" && /has ended/.test(error.message))) {
        throw error;
      }
    }
  }
  await layers.endOf(handle);
  assertEquals(await layers.until("t", "workspace-cleaned"), storyOf("task:failed signal"));
  const late = layers.orchestrator.signalTask("t", "SIGINT");
  await assertRejects(() => late, ApexError, "it has ended");
  assertEquals(layers.of("t"), storyOf("task:failed signal"));
});
