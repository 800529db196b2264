/** A second process on the same database and engine resumes the tasks of the first one. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { silentLogger } from "../../src/platform/logger.ts";
import { openStorage } from "../../src/storage/storage.ts";
import { storyOf, TaskLayers } from "../support/containers/task_layers.ts";
import { TestEngine } from "../support/engines/embedded_engine.ts";
import { FakeClock } from "../support/fake_clock.ts";

/** The engine and the database of a test. */
async function place(): Promise<{ socketPath: string; path: string; engine: TestEngine } & AsyncDisposable> {
  const engine = await TestEngine.start();
  return {
    engine,
    socketPath: engine.socketPath,
    path: `${engine.dir}/apex.db`,
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
}

/** Shell code that waits for a file. Containers of the embedded engine see the files of this machine. */
function waitForFile(path: string): string {
  return `while [ ! -e ${path} ]; do sleep 0.02; done`;
}

Deno.test("a running task continues, without a second start event", async () => {
  await using where = await place();
  const first = await TaskLayers.start(where);
  const handle = first.run(`${waitForFile(`${where.engine.dir}/go`)}; exit 3`, { taskId: "t1" });
  const { startedAt } = await first.startOf(handle);
  await first[Symbol.asyncDispose]();
  assertEquals((await handle.ended).state, "running", "disposal resolves a handle with the current snapshot");

  await using second = await TaskLayers.start(where);
  assertEquals(second.orchestrator.getTask("t1")?.state, "running");
  assertThrows(() => second.run("true", { taskId: "t1" }), ApexError, '"t1"');
  await Deno.writeTextFile(`${where.engine.dir}/go`, "");
  const task = await second.endOfId("t1");
  assertEquals([task.state, task.exitCode, task.startedAt], ["failed", 3, startedAt]);
  assertEquals(await second.until("t1", "workspace-cleaned"), [
    "container:died",
    "task:failed exit",
    "container:removed",
    "workspace-cleaned",
  ]);
  assertEquals(await second.containerNames(), []);
});

Deno.test("a task whose container has exited in between ends as the engine reports", async () => {
  await using where = await place();
  const first = await TaskLayers.start(where);
  const scripts = { a: "exit 0", b: "exit 3", c: "kill -9 $$", d: "exec sleep 600" };
  for (const [taskId, script] of Object.entries(scripts)) {
    const wait = waitForFile(`${where.engine.dir}/go`);
    await first.startOf(first.run(`${wait}; ${script}`, { taskId }));
  }
  const ids = Object.fromEntries(
    first.orchestrator.listTasks().map((task) => [task.taskId, task.containerId!]),
  );
  await first[Symbol.asyncDispose]();
  await Deno.writeTextFile(`${where.engine.dir}/go`, "");
  for (const taskId of ["a", "b", "c"]) await where.engine.wait(ids[taskId]!);

  await using second = await TaskLayers.start(where);
  const ends = ["a", "b", "c"].map((taskId) => {
    const { state, reason, exitCode } = second.orchestrator.getTask(taskId)!;
    return [state, reason, exitCode];
  });
  assertEquals(ends, [["completed", "exit", 0], ["failed", "exit", 3], ["failed", "signal", 137]]);
  assertEquals(second.orchestrator.listTasks().map(({ taskId }) => taskId), ["d"]);
  const inspected = await where.engine.inspect(ids.d!);
  assertEquals(inspected.State.Running, true);
  await second.orchestrator.cancelTask("d");
  for (const taskId of ["a", "b", "c", "d"]) await second.until(taskId, "workspace-cleaned");
  assertEquals(second.of("b"), ["task:failed exit", "container:removed", "workspace-cleaned"]);
  assertEquals(await second.containerNames(), []);
});

Deno.test("a task whose container was removed in between has failed with lost", async () => {
  await using where = await place();
  const first = await TaskLayers.start(where);
  const { containerId } = await first.startOf(first.run("sleep 600", { taskId: "t1" }));
  await first[Symbol.asyncDispose]();
  await where.engine.call("DELETE", `/containers/${containerId}?force=1`);

  await using second = await TaskLayers.start(where);
  const { state, reason, exitCode } = await second.endOfId("t1");
  assertEquals([state, reason, exitCode], ["failed", "lost", undefined]);
  assertEquals(second.of("t1"), ["task:failed lost"]);
});

Deno.test("queued tasks are queued again, in their order", async () => {
  await using where = await place();
  const limited = { ...where, maxConcurrentTasks: 1 };
  const first = await TaskLayers.start(limited);
  await first.startOf(first.run("exec sleep 600", { taskId: "t0" }));
  const env = { GREETING: "kept" };
  for (const taskId of ["t1", "t2", "t3"]) first.run('[ "$GREETING" = kept ]', { taskId, env });
  await first[Symbol.asyncDispose]();

  await using second = await TaskLayers.start(limited);
  assertEquals(second.orchestrator.listTasks().map(({ taskId, state }) => `${taskId} ${state}`), [
    "t3 pending",
    "t2 pending",
    "t1 pending",
    "t0 running",
  ]);
  const order: string[] = [];
  second.orchestrator.on("task:started", ({ taskId }) => order.push(taskId));
  await second.orchestrator.cancelTask("t0");
  for (const taskId of ["t1", "t2", "t3"]) {
    assertEquals((await second.endOfId(taskId)).state, "completed");
    assertEquals(await second.until(taskId, "workspace-cleaned"), storyOf("task:completed exit").slice(1));
  }
  assertEquals(order, ["t1", "t2", "t3"]);
});

Deno.test("a created container is started, even if the row does not have its id", async () => {
  await using where = await place();
  const first = await TaskLayers.startWithoutAdopting(where);
  first.manager.start = () => new Promise(() => {});
  const handle = first.run("exit 3", { taskId: "t1" });
  await first.until("t1", "workspace-created");
  const row = first.storage.tasks.get("t1")!;
  assertEquals(row.containerId, handle.task.containerId);
  const { containerId: _containerId, ...withoutId } = row;
  first.storage.tasks.save(withoutId);
  // The start has no reply, as if the process were killed. Disposal waits a limited time for it.
  await first[Symbol.asyncDispose]();

  await using second = await TaskLayers.start(where);
  const task = await second.endOfId("t1");
  assertEquals([task.state, task.exitCode, task.containerId], ["failed", 3, row.containerId]);
  assertEquals(await second.until("t1", "workspace-cleaned"), storyOf("task:failed exit").slice(3));
});

Deno.test("a task resumes the container whose id its row has, although the label names another instance", async () => {
  await using where = await place();
  const first = await TaskLayers.start(where);
  await first.startOf(first.run("exec sleep 600", { taskId: "t1" }));
  await first[Symbol.asyncDispose]();

  await using second = await TaskLayers.start({ ...where, instance: "fedcba9876543210" });
  assertEquals(second.orchestrator.getTask("t1")?.state, "running");
  assertEquals([second.workspaces.orphans(), second.workspaces.foreign()], [[], []]);
  assertEquals((await second.orchestrator.cancelTask("t1")).state, "cancelled");
  await second.until("t1", "workspace-cleaned");
  assertEquals(await second.containerNames(), []);
});

Deno.test("a stored task without a container does not adopt a container of another instance with its task id", async () => {
  await using where = await place();
  await using other = await TaskLayers.start({ socketPath: where.socketPath, instance: "fedcba9876543210" });
  const first = await TaskLayers.startWithoutAdopting(where);
  // The creation has no reply, as if the process were killed before it asked.
  first.manager.create = () => new Promise(() => {});
  first.run("exit 3", { taskId: "t1" });
  await other.startOf(other.run("exec sleep 600", { taskId: "t1" }));
  const theirs = other.orchestrator.getTask("t1")?.containerId;
  await first[Symbol.asyncDispose]();

  await using second = await TaskLayers.start(where);
  const task = await second.endOfId("t1");
  assertEquals([task.state, task.exitCode, task.containerId === theirs], ["failed", 3, false]);
  await second.untilTrue(() => second.seen.includes("workspace-cleaned t1"), () => "the cleanup");
  assertEquals(other.orchestrator.getTask("t1")?.state, "running");
  assertEquals(await second.containerNames(), ["apex-task-t1"]);
  await other.orchestrator.cancelTask("t1");
});

Deno.test("a start that was not published is published by the next process, with the engine's time", async () => {
  await using where = await place();
  const first = await TaskLayers.start(where);
  const { startedAt } = await first.startOf(first.run("exec sleep 600", { taskId: "t1" }));
  await first.startOf(first.run("exit 3", { taskId: "t2", keep: true }));
  await first.endOfId("t2");
  // When another task is cleaned up, the first one is too.
  await first.runToEnd("exit 0", { taskId: "t3" });
  await first.until("t3", "workspace-cleaned");
  // As if the process had been killed before it received the start events.
  for (const taskId of ["t1", "t2"]) {
    const { startedAtMs: _s, endedAtMs: _e, reason: _r, exitCode: _x, ...row } = first.storage.tasks.get(
      taskId,
    )!;
    first.storage.tasks.save({ ...row, state: "pending" });
  }
  await first[Symbol.asyncDispose]();

  await using second = await TaskLayers.start(where);
  const running = second.orchestrator.getTask("t1")!;
  assertEquals(running.state, "running");
  assertEquals(Math.abs(running.startedAt!.getTime() - startedAt!.getTime()) < 1_000, true);
  assertEquals(second.of("t1"), ["task:started"]);
  assertEquals(second.of("t2"), ["task:started", "task:failed exit"]);
  const ended = second.orchestrator.getTask("t2")!;
  assertEquals([ended.state, ended.exitCode], ["failed", 3]);
  await second.orchestrator.cancelTask("t1");
});

Deno.test("the timeout of a resumed task is measured from its start", async () => {
  await using where = await place();
  const limits = { taskId: "t1", timeoutMs: 60_000 };
  const first = await TaskLayers.start(where);
  const { startedAt } = await first.startOf(first.run("exec sleep 600", limits));
  await first[Symbol.asyncDispose]();

  const clock = new FakeClock(startedAt!.getTime() + 59_000);
  await using second = await TaskLayers.start({ ...where, clock });
  clock.advance(999);
  assertEquals(second.storage.tasks.get("t1")?.stopCause, undefined);
  clock.advance(1);
  assertEquals(second.storage.tasks.get("t1")?.stopCause, "timeout");
  const { state, reason } = await second.endOfId("t1");
  assertEquals([state, reason], ["failed", "timeout"]);
});

Deno.test("a cancel that was under way is finished by the next process", async () => {
  await using where = await place();
  const first = await TaskLayers.start(where);
  await first.startOf(first.run("exec sleep 600", { taskId: "t1" }));
  await first.startOf(first.run("exec sleep 600", { taskId: "t2" }));
  const stopped = Promise.withResolvers<void>();
  first.manager.stop = () => stopped.promise;
  for (const taskId of ["t1", "t2"]) {
    const cancelled = first.orchestrator.cancelTask(taskId);
    void assertRejects(() => cancelled, ApexError, "continues: apex ended before it did");
  }
  const { containerId } = first.orchestrator.getTask("t1")!;
  await first.orchestrator.dispose();
  stopped.resolve();
  await first[Symbol.asyncDispose]();
  await where.engine.call("POST", `/containers/${containerId}/stop`);

  await using second = await TaskLayers.start(where);
  for (const taskId of ["t1", "t2"]) {
    const { state, reason, exitCode } = await second.endOfId(taskId);
    assertEquals([state, reason, exitCode], ["cancelled", "signal", 143], taskId);
  }
});

Deno.test("a container that was not removed before disposal is removed by the next process", async () => {
  await using where = await place();
  const clock = new FakeClock(Date.now());
  const first = await TaskLayers.start({ ...where, clock });
  const removing = Promise.withResolvers<void>();
  first.manager.remove = () => {
    removing.resolve();
    return new Promise(() => {});
  };
  await first.runToEnd("exit 0", { taskId: "t1" });
  await removing.promise;
  const disposed = first.orchestrator.dispose();
  // Disposal waits five seconds for the engine.
  clock.advance(5_000);
  await disposed;
  assertEquals(clock.pendingTimers, 0);
  assertEquals(await first.containerNames(), ["apex-task-t1"]);
  await first[Symbol.asyncDispose]();

  await using second = await TaskLayers.start(where);
  await second.until("t1", "workspace-cleaned");
  assertEquals(second.of("t1"), ["container:removed", "workspace-cleaned"]);
  assertEquals(await second.containerNames(), []);
  assertEquals(second.orchestrator.getTask("t1")?.state, "completed");
});

Deno.test("a task does not adopt an older, kept container of its id", async () => {
  await using where = await place();
  const first = await TaskLayers.start({ ...where, maxConcurrentTasks: 1 });
  await first.runToEnd("exit 7", { taskId: "t1", keep: true });
  const old = first.orchestrator.getTask("t1")!;
  await first.startOf(first.run("exec sleep 600", { taskId: "t0" }));
  first.run("exit 0", { taskId: "t1" });
  // Engines list whole seconds, so the row is moved to a later second.
  const row = first.storage.tasks.get("t1")!;
  first.storage.tasks.save({ ...row, createdAtMs: row.createdAtMs + 2_000 });
  await first[Symbol.asyncDispose]();

  await using second = await TaskLayers.start(where);
  const task = await second.endOfId("t1");
  assertEquals([task.state, task.containerId === old.containerId], ["completed", false]);
  await second.until("t1", "workspace-cleaned");
  await second.orchestrator.cancelTask("t0");
  await second.until("t0", "workspace-cleaned");
  assertEquals(await second.containerNames(), ["apex-task-t1"]);
});

Deno.test("ten of twenty tasks end in between, and each end is correct", async () => {
  await using where = await place();
  const first = await TaskLayers.start(where);
  const handles = Array.from({ length: 20 }, (_, i) => {
    const mark = i < 10 ? "early" : "late";
    return first.run(`${waitForFile(`${where.engine.dir}/${mark}`)}; exit ${i}`, { taskId: `t${i}` });
  });
  for (const handle of handles) await first.startOf(handle);
  await first[Symbol.asyncDispose]();
  await Deno.writeTextFile(`${where.engine.dir}/early`, "");
  for (const handle of handles.slice(0, 10)) await where.engine.wait(handle.task.containerId!);

  await using second = await TaskLayers.start(where);
  assertEquals(second.orchestrator.listTasks().length, 10);
  await Deno.writeTextFile(`${where.engine.dir}/late`, "");
  for (let i = 0; i < 20; i++) {
    const { state, reason, exitCode } = await second.endOfId(`t${i}`);
    assertEquals([state, reason, exitCode], [i === 0 ? "completed" : "failed", "exit", i]);
    await second.until(`t${i}`, "workspace-cleaned");
  }
  assertEquals(await second.containerNames(), []);
});

Deno.test("a task that runs and exits before adopt() has its end, and leaves no container", async () => {
  await using where = await place();
  const first = await TaskLayers.startWithoutAdopting(where);
  first.manager.start = () => new Promise(() => {});
  first.run("exit 3", { taskId: "t1" });
  await first.until("t1", "workspace-created");
  await first[Symbol.asyncDispose]();

  await using second = await TaskLayers.startWithoutAdopting(where);
  await second.byHand("POST", "t1", "/start");
  await second.until("t1", "container:died");
  await second.orchestrator.adopt();
  const { state, exitCode } = await second.endOfId("t1");
  assertEquals([state, exitCode], ["failed", 3]);
  await second.until("t1", "workspace-cleaned");
  assertEquals(await second.containerNames(), []);
  assertEquals(second.of("t1").filter((event) => event.startsWith("task:")), [
    "task:started",
    "task:failed exit",
  ]);
});

Deno.test("tasks on another engine are resumed by a process that follows that engine", async () => {
  await using where = await place();
  await using other = await TestEngine.start();
  const first = await TaskLayers.start({ ...where, maxConcurrentTasks: 2 });
  await first.startOf(first.run(`${waitForFile(`${where.engine.dir}/go`)}; exit 3`, { taskId: "up" }));
  await first.startOf(first.run("exec sleep 600", { taskId: "given-up" }));
  first.run("exit 0", { taskId: "queued" });
  await first[Symbol.asyncDispose]();

  const second = await TaskLayers.start({ socketPath: other.socketPath, path: where.path });
  assertEquals(second.orchestrator.listTasks().map(({ taskId, state }) => [taskId, state]), [
    ["queued", "pending"],
    ["given-up", "running"],
    ["up", "running"],
  ]);
  assertEquals(second.seen, []);
  assertThrows(() => second.run("exit 0", { taskId: "up" }), ApexError, "is running");
  await assertRejects(
    () => second.orchestrator.signalTask("up", "SIGINT"),
    ApexError,
    "it is on another engine",
  );
  assertEquals((await second.orchestrator.cancelTask("given-up")).state, "cancelled");
  assertEquals((await second.runToEnd("exit 0", { taskId: "new" })).state, "completed");
  await second.until("new", "workspace-cleaned");
  await second[Symbol.asyncDispose]();

  await using third = await TaskLayers.start(where);
  await Deno.writeTextFile(`${where.engine.dir}/go`, "");
  assertEquals((await third.endOfId("up")).exitCode, 3);
  assertEquals((await third.endOfId("queued")).state, "completed");
  await third.until("up", "workspace-cleaned");
  await third.until("queued", "workspace-cleaned");
  assertEquals(await third.containerNames(), ["apex-task-given-up"]);
  await third.workspaces.removeOrphans();
});

Deno.test("an ended task on another engine does not delay a new task with its id", async () => {
  await using where = await place();
  await using other = await TestEngine.start();
  const first = await TaskLayers.start(where);
  const held = new Promise<void>(() => {});
  await first.endOf(first.run("exit 0", { taskId: "t1" }, { holdCleanup: held }));
  const row = first.storage.tasks.get("t1")!;
  // As if the process had been killed before the cleanup.
  await first[Symbol.asyncDispose]();
  const storage = openStorage({ path: where.path, clock: systemClock, logger: silentLogger });
  storage.tasks.save({ ...row, cleanupPending: true });
  storage[Symbol.dispose]();

  await using second = await TaskLayers.start({ socketPath: other.socketPath, path: where.path });
  assertEquals((await second.runToEnd("exit 4", { taskId: "t1" })).exitCode, 4);
  await second.until("t1", "workspace-cleaned");
});

/** The first process ends while a client reads the output of a task, which then ends. */
async function runWithReader(
  where: { socketPath: string; path: string; engine: TestEngine },
): Promise<void> {
  const first = await TaskLayers.start(where);
  const neverRead = new Promise<void>(() => {});
  const script = `${waitForFile(`${where.engine.dir}/go`)}; exit 3`;
  const options = { holdCleanup: neverRead, requestId: "r1" };
  const { containerId } = await first.startOf(first.run(script, { taskId: "t1" }, options));
  await first[Symbol.asyncDispose]();
  await Deno.writeTextFile(`${where.engine.dir}/go`, "");
  await where.engine.wait(containerId!);
}

Deno.test("the next process keeps the container of a task for its reader", async () => {
  await using where = await place();
  await runWithReader(where);
  await using second = await TaskLayers.start({ ...where, clock: new FakeClock() });
  const read = Promise.withResolvers<void>();
  assertThrows(() => second.orchestrator.followTask("t1", { requestId: "r2" }), ApexError, "no such task");
  const options = { requestId: "r1", holdCleanup: read.promise };
  const handle = second.orchestrator.followTask("t1", options);
  assertEquals([(await handle.ended).exitCode, handle.isOutputTaken], [3, false]);
  // A second request with the same id does not begin another task.
  assertEquals(second.run("exit 4", { taskId: "t1" }, { requestId: "r1" }).task.exitCode, 3);
  assertEquals(second.of("t1"), ["task:failed exit"]);
  assertEquals(await second.containerNames(), ["apex-task-t1"]);
  read.resolve();
  await second.until("t1", "workspace-cleaned");
  assertEquals([handle.isOutputTaken, await second.containerNames()], [true, []]);
});

Deno.test("the next process removes the container when the reader does not return within 30 s", async () => {
  await using where = await place();
  await runWithReader(where);
  const clock = new FakeClock();
  await using second = await TaskLayers.start({ ...where, clock });
  clock.advance(29_999);
  assertEquals(await second.containerNames(), ["apex-task-t1"]);
  assertEquals(second.of("t1"), ["task:failed exit"]);
  clock.advance(1);
  await second.until("t1", "workspace-cleaned");
  assertEquals(await second.containerNames(), []);
});
