/** Which task or container a client's target names, and what is refused for containers that apex does not manage. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { startOnEmbeddedEngine, TestDaemon } from "../../support/daemons/test_daemon.ts";
import { ContainerDriver } from "../../support/engines/container_driver.ts";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import type { TestEngine } from "../../support/engines/embedded_engine.ts";

const Labels = { "apex.task-id": "build" };

async function runLabelled(engine: TestEngine, daemon: TestDaemon, names: string[]): Promise<void> {
  using events = await daemon.events();
  await daemon.request("status", {});
  for (const name of names) {
    const id = await engine.run(`echo ${name}; exit 3`, { name, config: { Labels } });
    await events.until(({ type, containerId }) => type === "container.died" && containerId === id);
  }
}

Deno.test("logs and inspect find another program's container by the task id on its label", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon, engine } = fixture;
  await runLabelled(engine, daemon, ["web"]);
  const said = await daemon.stream("containers.logs", { target: "build" });
  assertEquals([said.stdout, said.payloads.exit], ["web\n", {}]);
  const inspected = await daemon.request("containers.inspect", { target: "build" });
  assertEquals(
    [inspected.container?.name, inspected.container?.exitCode, inspected.task, inspected.others],
    ["web", 3, undefined, undefined],
  );
});

Deno.test("of several containers of one task id the newest is found, and the others are listed", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon, engine } = fixture;
  // The engine lists times of creation in whole seconds, and its events have the exact times.
  await runLabelled(engine, daemon, ["one", "two", "three"]);
  const inspected = await daemon.request("containers.inspect", { target: "build" });
  assertEquals([inspected.container?.name, inspected.others], ["three", ["two", "one"]]);
  assertEquals((await daemon.stream("containers.logs", { target: "build" })).stdout, "three\n");
  assertEquals((await daemon.request("containers.inspect", { target: "one" })).others, undefined);
});

async function refusedCancel(daemon: TestDaemon, task: string): Promise<[string, string]> {
  const error = await assertRejects(() => daemon.request("tasks.cancel", { task }), ApexError);
  return [error.code, error.message];
}

Deno.test("tasks.cancel refuses containers that belong to no task of apex, and suggests what to do instead", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon, engine } = fixture;
  await runLabelled(engine, daemon, ["web"]);
  const foreign = "container web is not managed by apex (stop it with: docker stop web)";
  assertEquals(await refusedCancel(daemon, "build"), ["conflict", `cannot cancel "build": ${foreign}`]);
  assertEquals(await refusedCancel(daemon, "web"), ["conflict", `cannot cancel "web": ${foreign}`]);

  using client = await daemon.runTask({ taskId: "job", cmd: ["sleep", "60"] });
  await client.untilKind("started");
  assertEquals(await refusedCancel(daemon, "apex-task-job"), [
    "conflict",
    'cannot cancel "apex-task-job": it is the container of a task (try: apex cancel job)',
  ]);
  await daemon.request("tasks.cancel", { task: "job" });
  assertEquals((await refusedCancel(daemon, "unknown"))[0], "not_found");
});

Deno.test("tasks.cancel names the ended run of a kept container, and suggests clean for an unknown one", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon, engine } = fixture;
  await daemon.run({ taskId: "job", cmd: ["true"], keep: true });
  await daemon.run({ taskId: "job", cmd: ["true"] });
  assertEquals(await refusedCancel(daemon, "apex-task-job"), [
    "conflict",
    'cannot cancel "apex-task-job": it is the container of job@1, which has ended (completed)',
  ]);
  using events = await daemon.events();
  const { instance } = await daemon.request("status", {});
  const create = async (taskId: string, instance: string | undefined) => {
    const config = {
      Labels: { "apex.managed": "true", "apex.instance": instance, "apex.task-id": taskId },
    };
    const id = await engine.create("true", { name: `apex-task-${taskId}`, config });
    await events.until(({ containerId }) => containerId === id);
  };
  await create("lost", instance);
  assertEquals(await refusedCancel(daemon, "lost"), [
    "conflict",
    'cannot cancel "lost": container apex-task-lost belongs to no known task ' +
    "(remove it with: apex workspaces clean apex-task-lost)",
  ]);
  await create("theirs", "fedcba9876543210");
  assertEquals(await refusedCancel(daemon, "theirs"), [
    "conflict",
    'cannot cancel "theirs": container apex-task-theirs belongs to another apex instance ' +
    "(fedcba9876543210; ask that instance's daemon to cancel it)",
  ]);
});

Deno.test("a task id finds its last run; @N, @-N and the container's name find an earlier one", async () => {
  await using fixture = await startOnEmbeddedEngine();
  let { daemon } = fixture;
  for (const word of ["one", "two", "three"]) {
    await daemon.run({ taskId: "job", cmd: ["echo", word], keep: true });
  }
  // The next daemon knows the runs, too.
  for (let life = 0; life < 2; life++) {
    const logOf = async (target: string) => (await daemon.stream("containers.logs", { target })).stdout;
    assertEquals(
      await Promise.all(["job", "job@3", "job@2", "job@1", "job@-1", "job@-2", "apex-task-job"].map(logOf)),
      ["three\n", "three\n", "two\n", "one\n", "two\n", "one\n", "one\n"],
    );
    const last = await daemon.request("containers.inspect", { target: "job" });
    assertEquals([last.target, last.others, last.task?.run], ["job@3", ["job@2", "job@1"], 3]);
    const first = await daemon.request("containers.inspect", { target: "apex-task-job" });
    assertEquals([first.target, first.others, first.task?.run], ["apex-task-job", undefined, 1]);
    for (const target of ["job@4", "job@-3"]) {
      const error = await assertRejects(
        () => daemon.request("containers.inspect", { target }),
        ApexError,
        `no such run: "${target}" (known: job@1, job@2, job@3)`,
      );
      assertEquals(error.code, "not_found");
    }
    if (life === 0) daemon = await daemon.restart(fixture.engine.socketPath);
  }
  await daemon[Symbol.asyncDispose]();
});

Deno.test("another program's container with a task's id is listed beside the task's runs", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon, engine } = fixture;
  await daemon.run({ taskId: "build", cmd: ["echo", "first"], keep: true });
  await daemon.run({ taskId: "build", cmd: ["echo", "last"], keep: true });
  await runLabelled(engine, daemon, ["web"]);
  const { target, others } = await daemon.request("containers.inspect", { target: "build" });
  assertEquals([target, others], ["build@2", ["build@1", "web"]]);
  assertEquals((await daemon.stream("containers.logs", { target: "build" })).stdout, "last\n");
});

Deno.test({
  name: "on Docker, another program's container is read by its task id, and is not cancelled",
  ignore: !await dockerAvailable(),
  fn: async () => {
    await using docker = await startDocker();
    await using daemon = await TestDaemon.start(docker.socketPath);
    using driver = new ContainerDriver(docker.socketPath);
    using events = await daemon.events();
    await daemon.request("status", {});
    const id = await driver.create({
      name: "web",
      Cmd: ["sh", "-c", "echo out; echo err >&2; exec sleep 600"],
      Labels,
      HostConfig: { NetworkMode: "none" },
    });
    await driver.start(id);
    await driver.untilLogged(id, "out");
    await events.until(({ type }) => type === "container.started");
    const [said, inspected] = await Promise.all([
      daemon.stream("containers.logs", { target: "build" }),
      daemon.request("containers.inspect", { target: "build" }),
    ]);
    assert(said.stdout === "out\n", said.stdout);
    assertEquals([inspected.engine.Id, inspected.container?.state], [id, "running"]);
    const [code, message] = await refusedCancel(daemon, "build");
    assertEquals(code, "conflict");
    assertEquals(message.includes("docker stop web"), true);
    await driver.kill(id);
  },
});
