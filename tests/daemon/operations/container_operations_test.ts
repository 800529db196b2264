import { assert, assertEquals, assertRejects } from "@std/assert";
import { ApexError } from "../../../src/platform/apex_error.ts";
import type { ControlErrorCode } from "../../../src/protocol/operations.ts";
import { startOnEmbeddedEngine, StreamReader } from "../../support/daemons/test_daemon.ts";
import { within } from "../../support/within.ts";

const sh = (script: string) => ["sh", "-c", script];

async function assertRefused(asked: () => Promise<unknown>, code: ControlErrorCode, message: string) {
  const error = await assertRejects(asked, ApexError);
  assertEquals([error.code, error.message], [code, message]);
}

Deno.test("containers.logs sends the output of a container, by its name, its id and a prefix of that", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon, engine } = fixture;
  using events = await daemon.events();
  await daemon.request("status", {});
  const id = await engine.run("echo one; echo err >&2; echo two; exit 1", { name: "web" });
  await events.until(({ type }) => type === "container.died");
  for (const target of ["web", id, id.slice(0, 12)]) {
    const said = await daemon.stream("containers.logs", { target });
    assertEquals([said.stdout, said.stderr, said.kinds.at(-1), said.payloads.exit], [
      "one\ntwo\n",
      "err\n",
      "exit",
      {},
    ]);
  }
  // The embedded engine does not know which of two streams was written last.
  const last = await daemon.stream("containers.logs", { target: "web", tail: 1 });
  assertEquals((last.stdout + last.stderr).split("\n").length, 2);
  const later = await daemon.stream("containers.logs", { target: "web", sinceMs: Date.now() + 60_000 });
  assertEquals([later.stdout, later.stderr], ["", ""]);
  const stamped = await daemon.stream("containers.logs", { target: "web", timestamps: true });
  assert(/^\d{4}-\d\d-\d\dT[\d:.]+Z one\n/.test(stamped.stdout), stamped.stdout);
});

Deno.test("containers.logs follows a container to its end, or until its client hangs up", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon, engine } = fixture;
  using events = await daemon.events();
  await daemon.request("status", {});
  const id = await engine.run("echo ready; while :; do sleep 0.01; done", { name: "web" });
  await events.until(({ type }) => type === "container.started");
  {
    using gone = await StreamReader.open(daemon, "containers.logs", { target: "web", follow: true });
    await gone.untilSaid("ready");
  }
  using stays = await StreamReader.open(daemon, "containers.logs", { target: "web", follow: true });
  await stays.untilSaid("ready");
  await engine.call("POST", `/containers/${id}/kill`);
  const { kinds, payloads } = await stays.end();
  assertEquals([kinds, payloads.exit], [["data", "exit"], {}]);
});

Deno.test("containers.logs and containers.inspect prefer a task id to a container's name", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon, engine } = fixture;
  using events = await daemon.events();
  await daemon.request("status", {});
  await engine.run("echo namesake", { name: "job" });
  await events.until(({ type }) => type === "container.died");
  const { task } = await daemon.run({ taskId: "job", cmd: sh("echo task"), keep: true });
  assertEquals((await daemon.stream("containers.logs", { target: "job" })).stdout, "task\n");
  const inspected = await daemon.request("containers.inspect", { target: "job" });
  assertEquals(inspected.engine.Id, task.containerId);
  assertEquals([inspected.container?.id, inspected.container?.exitCode], [task.containerId, 0]);
  assertEquals(inspected.task, task);

  const byName = await daemon.request("containers.inspect", { target: `apex-task-job` });
  assertEquals([byName.container?.id, byName.task], [task.containerId, task]);
});

Deno.test("containers.inspect describes a task whose container was removed", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon } = fixture;
  using events = await daemon.events();
  await daemon.request("status", {});
  const { task } = await daemon.run({ taskId: "job", cmd: ["true"] });
  await events.until(({ type }) => type === "workspace.cleaned");
  assertEquals(await daemon.request("containers.inspect", { target: "job" }), {
    target: "job@1",
    engine: {},
    task,
    output: { bytes: 0, isCut: false },
  });
});

Deno.test("containers.logs and containers.inspect refuse unknown and ambiguous targets", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon, engine } = fixture;
  const message = 'no such task or container: "unknown" (see: apex tasks --all, apex ps)';
  await assertRefused(() => daemon.stream("containers.logs", { target: "unknown" }), "not_found", message);
  await assertRefused(
    () => daemon.request("containers.inspect", { target: "unknown" }),
    "not_found",
    message,
  );
  // Two of seventeen ids begin with the same digit.
  using events = await daemon.events();
  await daemon.request("status", {});
  const ids: string[] = [];
  while (ids.length < 17) ids.push(await engine.create("true"));
  await events.until(({ containerId }) => containerId === ids.at(-1));
  const ambiguous = ids.map((id) => id[0]!).find((digit, at, all) => all.indexOf(digit) !== at)!;
  const error = await assertRejects(
    () => daemon.request("containers.inspect", { target: ambiguous }),
    ApexError,
  );
  assertEquals(error.code, "conflict");
});

Deno.test("workspaces.list distinguishes orphans from containers of tasks, and workspaces.clean removes only orphans", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon, engine } = fixture;
  using client = await daemon.runTask({ taskId: "living", cmd: ["sleep", "60"] });
  await client.untilKind("started");
  using events = await daemon.events();
  const { instance } = await daemon.request("status", {});
  for (const taskId of ["lost1", "lost2"]) {
    const Labels = { "apex.managed": "true", "apex.instance": instance, "apex.task-id": taskId };
    await engine.create("true", { name: `apex-task-${taskId}`, config: { Labels } });
  }
  await engine.create("true", { name: "mine" });
  await events.until(({ containerName }) => containerName === "mine");

  const { workspaces } = await daemon.request("workspaces.list", {});
  assertEquals(workspaces.map(({ taskId, orphaned, state }) => [taskId, orphaned, state]), [
    ["living", false, "running"],
    ["lost1", true, "created"],
    ["lost2", true, "created"],
  ]);
  assert(workspaces.every(({ containerId, createdAt }) => containerId && createdAt));
  assertEquals(await daemon.request("workspaces.clean", { names: ["apex-task-lost2"] }), {
    removed: ["apex-task-lost2"],
    failed: [],
  });
  assertEquals((await daemon.request("workspaces.clean", {})).removed, ["apex-task-lost1"]);
  await events.until(({ type, taskId }) => type === "container.removed" && taskId === "lost1");
  const left = (await daemon.request("containers.list", {})).containers.map(({ name }) => name);
  assertEquals(left.sort(), ["apex-task-living", "mine"]);
  await daemon.request("tasks.cancel", { task: "living" });
});

Deno.test("status reports tasks and the database", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon } = fixture;
  const idle = await daemon.request("status", {});
  assertEquals([idle.tasks, idle.storage], [{ running: 0, pending: 0 }, { state: "ok" }]);
  using client = await daemon.runTask({ cmd: ["sleep", "60"] });
  await client.untilKind("started");
  assertEquals((await daemon.request("status", {})).tasks, { running: 1, pending: 0 });
  const [task] = (await daemon.request("tasks.list", {})).tasks;
  await daemon.request("tasks.cancel", { task: task!.taskId });
  await within(10_000, "the stream's end", client.end());
});
