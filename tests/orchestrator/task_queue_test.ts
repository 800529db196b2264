import { assertEquals } from "@std/assert";
import { TaskLayers } from "../support/containers/task_layers.ts";
import { TestEngine } from "../support/engines/embedded_engine.ts";

Deno.test("tasks beyond the limit are queued, and start in the order of their requests", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start({ socketPath: engine.socketPath, maxConcurrentTasks: 3 });
  let running = 0;
  let most = 0;
  const order: string[] = [];
  layers.orchestrator.on("task:started", ({ taskId }) => {
    order.push(taskId);
    most = Math.max(most, ++running);
  });
  layers.orchestrator.on("task:completed", () => void running--);
  const handles = Array.from({ length: 12 }, (_, i) => layers.run("exit 0", { taskId: `t${i}` }));
  assertEquals(handles.map(({ pendingAhead }) => pendingAhead), [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  for (const handle of handles) assertEquals((await layers.endOf(handle)).state, "completed");
  assertEquals(most <= 3, true, `${most} ran at once`);
  // Up to three start at once, and the engine may start them in any order.
  for (const [i, taskId] of order.entries()) {
    assertEquals(Math.abs(Number(taskId.slice(1)) - i) < 3, true, `${order}`);
  }
});

Deno.test("a cancelled task leaves the queue, and the tasks behind it move up", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start({ socketPath: engine.socketPath, maxConcurrentTasks: 1 });
  const { orchestrator } = layers;
  const first = layers.run("exec sleep 600", { taskId: "t1" });
  const waiting = layers.run("exit 0", { taskId: "t2" });
  const last = layers.run("exit 0", { taskId: "t3" });
  await layers.startOf(first);
  const task = await orchestrator.cancelTask("t2");
  assertEquals([task.state, task.reason, task.startedAt], ["cancelled", undefined, undefined]);
  assertEquals(await layers.startOf(waiting), task);
  assertEquals(layers.of("t2"), ["task:created", "task:cancelled"]);
  assertEquals(orchestrator.listTasks().map(({ taskId, state }) => `${taskId} ${state}`), [
    "t3 pending",
    "t1 running",
  ]);
  await orchestrator.cancelTask("t1");
  assertEquals((await layers.endOf(last)).state, "completed");
});

Deno.test("a task that could not start releases its slot", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start({ socketPath: engine.socketPath, maxConcurrentTasks: 1 });
  const bad = layers.run("", { cmd: ["no-such-command"] });
  const worse = layers.run("true", { projectDir: "/no/such/directory" });
  const good = layers.run("exit 0");
  assertEquals((await layers.endOf(bad)).state, "failed");
  assertEquals((await layers.endOf(worse)).state, "failed");
  assertEquals((await layers.endOf(good)).state, "completed");
});
