/** Tasks on a real Docker: what the embedded engine cannot do, and that the rest behaves the same. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { storyOf, TaskLayers } from "../support/containers/task_layers.ts";
import { ContainerDriver } from "../support/engines/container_driver.ts";
import { dockerAvailable, startDocker } from "../support/engines/docker_engine.ts";
import { TempDir } from "../support/temp_dir.ts";

Deno.test({
  name: "tasks on real Docker",
  ignore: !await dockerAvailable(),
  fn: async (t) => {
    await using docker = await startDocker();
    await using temp = await TempDir.make();
    const where = { socketPath: docker.socketPath, path: temp.join("apex.db"), stopTimeoutSeconds: 1 };
    await using layers = await TaskLayers.start(where);

    const ends: [string, unknown[]][] = [
      ["exit 0", ["completed", "exit", 0]],
      ["exit 1", ["failed", "exit", 1]],
      ["exit 3", ["failed", "exit", 3]],
      // Process 1 of a container ignores its own SIGKILL, so the script only exits with its code.
      ["exit 137", ["failed", "signal", 137]],
    ];
    for (const [script, end] of ends) {
      await t.step(`"${script}" is ${end.join(", ")}`, async () => {
        const { taskId, state, reason, exitCode } = await layers.runToEnd(script);
        assertEquals([state, reason, exitCode], end);
        assertEquals(await layers.until(taskId, "workspace-cleaned"), storyOf(`task:${state} ${reason}`));
      });
    }

    await t.step("oom is distinguished from a kill", async () => {
      const memoryBytes = 8 * 1024 * 1024;
      const hungry = await layers.runToEnd("exec tail /dev/zero", { taskId: "hungry", memoryBytes });
      assertEquals([hungry.state, hungry.reason, hungry.exitCode], ["failed", "oom", 137]);
      const handle = layers.run("exec sleep 600", { taskId: "killed", memoryBytes });
      await layers.startOf(handle);
      await layers.orchestrator.signalTask("killed", "SIGKILL");
      const killed = await layers.endOf(handle);
      assertEquals([killed.state, killed.reason, killed.exitCode], ["failed", "signal", 137]);
    });

    await t.step(
      "a task has failed by a signal when another client removes its container by force",
      async () => {
        const handle = layers.run("exec sleep 600", { taskId: "removed" });
        await layers.startOf(handle);
        await layers.byHand("DELETE", "removed", "?force=1");
        const { state, reason } = await layers.endOf(handle);
        assertEquals([state, reason], ["failed", "signal"]);
        assertEquals(await layers.until("removed", "workspace-cleaned"), storyOf("task:failed signal"));
      },
    );

    await t.step("a cancelled task exits by itself at SIGTERM, or is killed by it", async () => {
      const polite = layers.run("trap 'exit 0' TERM; while :; do sleep 0.1; done", { taskId: "polite" });
      const plain = layers.run("exec sleep 600", { taskId: "plain" });
      for (const handle of [polite, plain]) await layers.startOf(handle);
      const tasks = await Promise.all(["polite", "plain"].map((id) => layers.orchestrator.cancelTask(id)));
      assertEquals(tasks.map(({ state, reason, exitCode }) => [state, reason, exitCode]), [
        ["cancelled", "exit", 0],
        ["cancelled", "signal", 143],
      ]);
    });

    await t.step("a task that runs longer than its timeout has failed with timeout", async () => {
      const task = await layers.runToEnd("exec sleep 600", { timeoutMs: 300 });
      assertEquals([task.state, task.reason, task.exitCode], ["failed", "timeout", 143]);
    });

    await t.step("without an init, process 1 ignores SIGTERM and is killed", async () => {
      const task = await layers.runToEnd("exec sleep 600", { timeoutMs: 300, init: false });
      assertEquals([task.state, task.reason, task.exitCode], ["failed", "timeout", 137]);
    });

    await t.step("a signal reaches the command of the init, and its exit status is reported", async () => {
      const handle = layers.run("trap 'exit 7' USR1; echo; while :; do sleep 0.1; done", { taskId: "usr1" });
      const { containerId } = await layers.startOf(handle);
      for await (const _ready of layers.manager.logs(containerId!, { follow: true })) break;
      await layers.orchestrator.signalTask("usr1", "SIGUSR1");
      const { state, reason, exitCode } = await layers.endOf(handle);
      assertEquals([state, reason, exitCode], ["failed", "exit", 7]);
      const ended = await layers.runToEnd("kill -TERM $$");
      assertEquals([ended.state, ended.reason, ended.exitCode], ["failed", "exit", 143]);
    });

    await t.step("an init exits with 127 when its command does not exist", async () => {
      const task = await layers.runToEnd("", { cmd: ["no-such-command"] });
      assertEquals([task.state, task.reason, task.exitCode], ["failed", "exit", 127]);
    });

    await t.step("the container has the labels and ports of the task, and requests the GPUs", async () => {
      const handle = layers.run("cat", {
        taskId: "labelled",
        stdin: true,
        labels: { tier: "test" },
        ports: [{ containerPort: 80, protocol: "tcp", hostIp: "127.0.0.1", hostPort: 8080 }],
      }, { onInput: () => {} });
      const { containerId } = await layers.startOf(handle);
      const { Config, HostConfig } = await layers.manager.inspect(containerId!) as unknown as {
        Config: { Labels: Record<string, string>; ExposedPorts: unknown };
        HostConfig: { PortBindings: unknown; LogConfig: { Type: string } };
      };
      assertEquals([Config.Labels.tier, Config.Labels["apex.task-id"]], ["test", "labelled"]);
      assertEquals(Config.ExposedPorts, { "80/tcp": {} });
      assertEquals(HostConfig.PortBindings, { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8080" }] });
      assertEquals(HostConfig.LogConfig.Type, "local");
      await layers.orchestrator.cancelTask("labelled");
      const gpus = await layers.runToEnd("true", { gpus: "all" });
      assertEquals([gpus.state, gpus.reason], ["failed", "error"]);
      assertStringIncludes(gpus.error ?? "", "capabilities: [[gpu]]");
    });

    await t.step("binary output is unchanged", async () => {
      const handle = layers.run("printf 'a\\377\\200\\n'; exec sleep 600", { taskId: "bytes" });
      await layers.startOf(handle);
      const pieces: number[] = [];
      for await (
        const { bytes } of layers.manager.logs((await handle.started).containerId!, { follow: true })
      ) {
        pieces.push(...bytes);
        if (pieces.length >= 4) break;
      }
      assertEquals(pieces, [0x61, 0xff, 0x80, 0x0a]);
      await layers.orchestrator.cancelTask("bytes");
    });

    for (const [command, exitCode] of [["no-such-command", 127], ["/tmp", 126]] as const) {
      await t.step(`a task with the command ${command} has failed with error and ${exitCode}`, async () => {
        const task = await layers.runToEnd("", { cmd: [command], init: false });
        assertEquals([task.state, task.reason, task.exitCode], ["failed", "error", exitCode], task.error);
        const story = await layers.until(task.taskId, "workspace-cleaned");
        assertEquals(story.filter((each) => each !== "container:died"), [
          "task:created",
          "container:created",
          "workspace-created",
          "start failed",
          "task:failed error",
          "container:removed",
          "workspace-cleaned",
        ]);
      });
    }

    await t.step("a task whose image does not exist has failed with an error that names it", async () => {
      const task = await layers.runToEnd("true", { image: "localhost:1/no/such:image" });
      assertEquals([task.state, task.reason], ["failed", "error"]);
      assertStringIncludes(task.error ?? "", "localhost:1/no/such:image");
    });

    await t.step("200 concurrent tasks publish exactly their events in order", async () => {
      const handles = Array.from({ length: 200 }, (_, i) => layers.run(`exit ${i % 2}`, { taskId: `t${i}` }));
      for (const [i, handle] of handles.entries()) {
        const { state, exitCode } = await layers.endOf(handle);
        assertEquals([state, exitCode], i % 2 === 0 ? ["completed", 0] : ["failed", 1]);
      }
      for (const [i, { taskId }] of handles.entries()) {
        const story = await layers.until(taskId, "workspace-cleaned");
        assertEquals(story, storyOf(i % 2 === 0 ? "task:completed exit" : "task:failed exit"), taskId);
      }
    });

    await t.step("the next process learns how tasks have ended in between", async () => {
      const memoryBytes = 8 * 1024 * 1024;
      layers.run("exec sleep 600", { taskId: "removed-since" });
      layers.run("exec sleep 600", { taskId: "continues" });
      layers.run("trap 'exit 3' USR1; while :; do sleep 0.1; done", { taskId: "exits" });
      layers.run("trap 'exec tail /dev/zero' USR1; while :; do sleep 0.1; done", {
        taskId: "starves",
        memoryBytes,
      });
      const taskIds = ["removed-since", "continues", "exits", "starves"];
      for (const taskId of taskIds) await layers.until(taskId, "task:started");
      const ids = Object.fromEntries(
        layers.orchestrator.listTasks().map((task) => [task.taskId, task.containerId!]),
      );
      await layers[Symbol.asyncDispose]();

      using engine = new ContainerDriver(docker.socketPath);
      for (const taskId of ["exits", "starves"]) {
        await engine.kill(ids[taskId]!, { signal: "SIGUSR1" });
        await engine.untilReported(ids[taskId]!, "die");
      }
      await engine.remove(ids["removed-since"]!, { force: true });
      await engine.untilReported(ids["removed-since"]!, "die");

      await using next = await TaskLayers.start(where);
      const found = taskIds.map((taskId) => {
        const { state, reason, exitCode } = next.orchestrator.getTask(taskId)!;
        return [taskId, state, reason, exitCode];
      });
      assertEquals(found, [
        ["removed-since", "failed", "lost", undefined],
        ["continues", "running", undefined, undefined],
        ["exits", "failed", "exit", 3],
        ["starves", "failed", "oom", 137],
      ]);
      await next.orchestrator.cancelTask("continues");
      for (const taskId of taskIds.slice(1)) await next.until(taskId, "workspace-cleaned");
      assertEquals(await next.containerNames(), []);
    });
  },
});
