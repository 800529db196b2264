/** A cancelled task, in whatever phase, has exactly one end, and leaves no container. */
import { assertEquals, assertRejects } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import { TaskLayers } from "../support/containers/task_layers.ts";
import { TestEngine } from "../support/engines/embedded_engine.ts";

const ENDS = /^task:(completed|failed|cancelled)/;

Deno.test("cancelTask() stops a running task and resolves with its end", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const handle = layers.run("exec sleep 600", { taskId: "t1" });
  await layers.startOf(handle);
  const task = await layers.orchestrator.cancelTask("t1");
  assertEquals([task.state, task.reason, task.exitCode], ["cancelled", "signal", 143]);
  assertEquals(task, await layers.endOf(handle));
  assertEquals(await layers.until("t1", "workspace-cleaned"), [
    "task:created",
    "container:created",
    "workspace-created",
    "container:started",
    "task:started",
    "container:stopped",
    "task:cancelled signal",
    "container:removed",
    "workspace-cleaned",
  ]);
  assertEquals(layers.complaints, []);
});

Deno.test("cancelTask() kills a task that ignores SIGTERM when the stop timeout is over", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start({ socketPath: engine.socketPath, stopTimeoutSeconds: 0 });
  const trapped = `${engine.dir}/trapped`;
  layers.run(`trap '' TERM; : > ${trapped}; while :; do sleep 0.05; done`, { taskId: "t1" });
  // The task is running before its shell has executed the trap.
  await layers.runToEnd(`while [ ! -e ${trapped} ]; do sleep 0.02; done`);
  const task = await layers.orchestrator.cancelTask("t1");
  assertEquals([task.state, task.reason, task.exitCode], ["cancelled", "signal", 137]);
});

Deno.test("cancelTask() at any event of a task gives exactly one end, and leaves no container", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const moments = [
    "task:created",
    "container:created",
    "workspace-created",
    "container:started",
    "task:started",
    "container:died",
  ] as const;
  for (const moment of moments) {
    const cancelled = Promise.withResolvers<unknown>();
    const cancel = ({ taskId }: { readonly taskId?: string }): void => {
      if (taskId === moment.replace(":", ".")) cancelled.resolve(layers.orchestrator.cancelTask(taskId));
    };
    layers.orchestrator.on(moment, cancel as () => void);
    const taskId = moment.replace(":", ".");
    const task = await layers.endOf(layers.run("exit 3", { taskId }));
    assertEquals(task.state, "cancelled", moment);
    assertEquals(await cancelled.promise, task);
    if (task.containerId !== undefined) await layers.until(taskId, "workspace-cleaned");
    assertEquals(layers.of(taskId).filter((each) => ENDS.test(each)).length, 1, moment);
  }
  assertEquals(await layers.containerNames(), []);
  assertEquals(layers.complaints, []);
});

Deno.test("cancelTask() that races with the natural exit gives exactly one end", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const taskIds = Array.from({ length: 40 }, (_, i) => `t${i}`);
  const states = await Promise.all(taskIds.map(async (taskId, i) => {
    const handle = layers.run("exit 0", { taskId });
    // The delays hit the creation, the start, the run and the exit.
    for (let turns = 0; turns < i * 8; turns++) await Promise.resolve();
    if (i % 2 === 0) await layers.startOf(handle);
    try {
      return (await layers.orchestrator.cancelTask(taskId)).state;
    } catch (error) {
      if (!(error instanceof ApexError && error.code === "conflict")) throw error;
      return (await layers.endOf(handle)).state;
    }
  }));
  for (const [i, taskId] of taskIds.entries()) {
    const ends = layers.of(taskId).filter((each) => ENDS.test(each));
    assertEquals(ends.length, 1, `${taskId}: ${ends}`);
    assertEquals(ends[0]?.startsWith(`task:${states[i]}`), true, `${taskId}: ${ends}`);
  }
});

Deno.test("cancelTask() resolves with the same end for two concurrent calls", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  await layers.startOf(layers.run("exec sleep 600", { taskId: "t1" }));
  const [one, other] = await Promise.all([
    layers.orchestrator.cancelTask("t1"),
    layers.orchestrator.cancelTask("t1"),
  ]);
  assertEquals(one, other);
});

Deno.test("cancelTask() rejects with conflict for an ended task, and not_found for an unknown one", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  await layers.runToEnd("exit 0", { taskId: "t1" });
  for (const [taskId, code] of [["t1", "conflict"], ["t2", "not_found"]] as const) {
    const error = await assertRejects(() => layers.orchestrator.cancelTask(taskId), ApexError, `"${taskId}"`);
    assertEquals(error.code, code);
  }
});

Deno.test("cancelTask() rejects when the engine refuses the stop, and the task continues", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const handle = layers.run("exec sleep 600", { taskId: "t1" });
  await layers.startOf(handle);
  const { manager } = layers;
  const stop = manager.stop;
  manager.stop = () => Promise.reject(new ApexError("engine", "the engine is busy"));
  await assertRejects(() => layers.orchestrator.cancelTask("t1"), ApexError, "busy");
  assertEquals(layers.orchestrator.getTask("t1")?.state, "running");
  manager.stop = stop;
  // The failed cancel is not the cause of this end.
  await layers.orchestrator.signalTask("t1", "SIGKILL");
  const { state, reason } = await layers.endOf(handle);
  assertEquals([state, reason], ["failed", "signal"]);
});

Deno.test("cancelTask() keeps the container of a task with keep", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  await layers.startOf(layers.run("exec sleep 600", { taskId: "t1", keep: true }));
  await layers.orchestrator.cancelTask("t1");
  assertEquals(await layers.containerNames(), ["apex-task-t1"]);
});

Deno.test("cancelTask() ends a task at once that waits for the cleanup of the previous run of its id", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start(engine);
  const held = Promise.withResolvers<void>();
  await layers.endOf(layers.run("exit 0", { taskId: "t1" }, { holdCleanup: held.promise }));
  const later = layers.run("exit 0", { taskId: "t1" });
  // When another task has run to its end, the later run has proceeded as far as it can.
  await layers.runToEnd("exit 0", { taskId: "t2" });
  const cancelled = layers.orchestrator.cancelTask("t1");
  assertEquals((await layers.endOf(later)).state, "cancelled");
  assertEquals((await cancelled).state, "cancelled");
  held.resolve();
  for (const taskId of ["t1", "t2"]) await layers.until(taskId, "workspace-cleaned");
  assertEquals(await layers.containerNames(), []);
});
