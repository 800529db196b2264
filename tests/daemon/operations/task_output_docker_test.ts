import { assert, assertEquals } from "@std/assert";
import { TestDaemon } from "../../support/daemons/test_daemon.ts";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";

const AT_ONCE = 5;

Deno.test({
  name: "on Docker, tasks.run sends all output of many commands that end at the same time",
  ignore: !await dockerAvailable(),
  async fn() {
    await using docker = await startDocker();
    await using daemon = await TestDaemon.start(docker.socketPath);
    const zeros = ["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x"];
    for (
      const [cmd, output] of [[["true"], ""], [["echo", "hi"], "hi\n"], [zeros, "x".repeat(300_000)]] as const
    ) {
      for (let round = 0; round < 20; round += AT_ONCE) {
        const runs = Array.from({ length: AT_ONCE }, () => daemon.run({ cmd: [...cmd] }));
        for (const { stdout, stderr, task, payloads } of await Promise.all(runs)) {
          assertEquals([stdout, stderr, task.state, payloads.exit?.outputError], [
            output,
            "",
            "completed",
            undefined,
          ]);
        }
      }
    }
  },
});

Deno.test({
  name: "on Docker, the container is removed after a late reader has received all output",
  ignore: !await dockerAvailable(),
  async fn() {
    await using docker = await startDocker();
    await using daemon = await TestDaemon.start(docker.socketPath);
    using events = await daemon.events();
    const size = 10_000_000;
    const cmd = ["sh", "-c", `head -c ${size} /dev/zero | tr '\\0' x | fold -w 99; echo end >&2`];
    using client = await daemon.runTask({ taskId: "big", cmd });
    await daemon.stream("tasks.wait", { task: "big" });
    assertEquals((await daemon.request("containers.list", {})).containers.map(({ state }) => state), [
      "exited",
    ]);
    const { stdout, stderr, payloads } = await client.end();
    assert(stdout.replaceAll("\n", "").length === size, `${stdout.length} characters`);
    assertEquals([stderr, payloads.exit?.outputError], ["end\n", undefined]);
    await events.until(({ type }) => type === "workspace.cleaned");
  },
});

Deno.test({
  name: "on Docker, tasks.run continues the output after a restart of the engine",
  ignore: !await dockerAvailable(),
  async fn() {
    await using docker = await startDocker();
    await using daemon = await TestDaemon.start(docker.socketPath);
    const cmd = ["sh", "-c", "trap 'exit 9' TERM; echo before; while :; do sleep 0.1; done"];
    using client = await daemon.runTask({ taskId: "t", cmd });
    await client.untilSaid("before");
    // The next engine stops the containers that it finds running.
    await docker.kill();
    await docker.restart();
    const { stdout, payloads } = await client.end();
    assertEquals(stdout, "before\n");
    assertEquals((payloads.exit?.task as { state: string }).state, "failed");
  },
});
