/** Operations on real engines: they are done, and the engine's own events are published. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ApexError } from "../../../src/platform/apex_error.ts";
import {
  BASE,
  type Checks,
  ENDS_WITHIN_MS,
  outputOf,
  run,
  runReady,
  shell,
  SLEEPER,
  testOnEngines,
  textOf,
} from "../../support/containers/engine_checks.ts";
import { within } from "../../support/within.ts";

const CHECKS: Checks = {
  "each operation is done, and published by the engine's own event": async (operated) => {
    const { manager } = operated;
    const created = await manager.create({
      ...SLEEPER,
      name: "apex-task-t1",
      labels: { "apex.managed": "true", "apex.task-id": "t1" },
    });
    assertEquals([created.name, created.id.length], ["apex-task-t1", 64]);
    await operated.until("apex-task-t1", "created");
    await manager.start(created.id);
    await manager.start(created.id); // already so
    await operated.until("apex-task-t1", "started");
    await manager.pause("apex-task-t1");
    const inspect = await manager.inspect(created.id);
    assertEquals([inspect.State.Status, inspect.Config.Labels?.["apex.task-id"]], ["paused", "t1"]);
    await manager.unpause(created.id.slice(0, 12));
    await manager.restart(created.id, { timeoutSeconds: 0 });
    await manager.rename(created.id, "renamed");
    await manager.kill(created.id, { signal: "SIGKILL" });
    assertEquals(await manager.wait(created.id), { exitCode: 137 });
    await manager.start(created.id);
    await manager.stop(created.id, { timeoutSeconds: 0 });
    await manager.stop(created.id); // already so
    await manager.remove(created.id, { volumes: true });
    await operated.until("renamed", /^removed \d+ unforced$/);
    assertEquals(manager.find(created.id), undefined);
    assertEquals(operated.failures, []);
    // No time passed between TERM and KILL: either may have ended it.
    const withoutCode = (short: string) => short.replace(/^(stopped|removed) \d+/, "$1");
    assertEquals(operated.of("apex-task-t1").map(withoutCode), [
      "created",
      "started",
      "stopped",
      "started",
    ]);
    assertEquals(operated.of("renamed").map(withoutCode), [
      "died 137",
      "started",
      "stopped",
      "removed unforced",
    ]);
  },

  "stop() sends the stop signal and waits for the end": async (operated) => {
    const id = await runReady(operated, {
      ...shell("trap 'exit 4' TERM; echo ready; while :; do sleep 0.02; done"),
      name: "stop",
    });
    await operated.manager.stop(id, { timeoutSeconds: 10 });
    assertEquals((await operated.manager.inspect(id)).State.ExitCode, 4);
    await operated.until("stop", "stopped 4");
  },

  "kill() sends the given signal": async (operated) => {
    const script = "trap 'echo usr1; exit 5' USR1; echo ready; while :; do sleep 0.02; done";
    const id = await runReady(operated, { ...shell(script), name: "kill-usr1" });
    await operated.manager.kill(id, { signal: "USR1" });
    const ended = within(ENDS_WITHIN_MS, "the end", operated.manager.wait(id));
    assertEquals(await ended, { exitCode: 5 });
    assertStringIncludes((await outputOf(operated, { id })).stdout, "usr1");
  },

  "remove() is published with `forced`, and another client's removal without it": async (operated) => {
    const { manager, client } = operated;
    await manager.remove(await run(operated, { ...SLEEPER, name: "rm-force" }), { force: true });
    await operated.until("rm-force", "removed 137 forced");
    const others = await run(operated, { ...SLEEPER, name: "rm-others" });
    await operated.until("rm-others", "started");
    // A failed removal of apex's own does not mark another client's.
    await assertRejects(() => manager.remove(others), ApexError, "cannot remove container rm-others: ");
    const reply = await client.request("DELETE", `/containers/${others}`, { query: { force: true } });
    await reply.body?.cancel();
    await operated.until("rm-others", "removed 137");
  },

  "create() creates what its spec says": async (operated) => {
    const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "apx-" });
    try {
      await Deno.writeTextFile(`${dir}/file`, "mounted\n");
      const id = await run(operated, {
        ...BASE,
        entrypoint: ["sh", "-c"],
        cmd: ['pwd; cat file; echo "$A-$B"; echo warn >&2'],
        name: "spec",
        env: { A: "1", B: "two words" },
        projectDir: dir,
        stopSignal: "SIGHUP",
        healthcheck: { cmd: ["true"], intervalMs: 60_000 },
      });
      assertEquals(await within(ENDS_WITHIN_MS, "its end", operated.manager.wait(id)), { exitCode: 0 });
      const { stdout, stderr } = await outputOf(operated, { id });
      const [place, ...rest] = stdout.split("\n");
      // The embedded engine mounts nothing: the directory keeps its path.
      const expectedPlace = (await operated.client.identify()).kind === "embedded" ? dir : "/workspace";
      assertEquals([place, rest, stderr], [expectedPlace, ["mounted", "1-two words", ""], "warn\n"]);
      const { HostConfig, Config } = await operated.manager.inspect(id) as unknown as {
        HostConfig: Record<string, unknown>;
        Config: { Healthcheck?: { Test?: unknown }; StopSignal?: string };
      };
      assertEquals(HostConfig["NetworkMode"], "none");
      assertEquals([Config.Healthcheck?.Test, Config.StopSignal], [["CMD", "true"], "SIGHUP"]);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },

  "create() returns the name that the engine chose": async (operated) => {
    const { id, name } = await operated.manager.create(SLEEPER);
    assertEquals((await operated.manager.inspect(id)).Name, `/${name}`);
    await operated.until(name, "created");
  },

  "concurrent removals all succeed, and a later one fails": async (operated) => {
    const { manager } = operated;
    const id = await run(operated, { ...SLEEPER, name: "rm-twice" });
    await Promise.all([1, 2, 3].map(() => manager.remove(id, { force: true })));
    await operated.until("rm-twice", "removed 137 forced");
    assertEquals(operated.failures, []);
    await assertRejects(() => manager.remove(id), ApexError, "No such container");
    assertEquals(operated.failures, ["remove container:removed"]);
  },

  "an auto-removed container is removed": async (operated) => {
    await run(operated, { ...BASE, cmd: ["true"], name: "auto-remove", autoRemove: true });
    await operated.until("auto-remove", "removed 0");
  },

  "exec() runs a command and returns its result": async (operated) => {
    const { manager } = operated;
    const id = await run(operated, { ...SLEEPER, name: "exec" });
    const script = 'echo "$A"; pwd; echo "$0" >&2; exit 7';
    const result = await manager.exec(id, ["sh", "-c", script, "a b"], {
      env: { A: "x y" },
      workdir: "/tmp",
      timeoutMs: ENDS_WITHIN_MS,
    });
    assertEquals([result.exitCode, textOf(result.stdout), textOf(result.stderr), result.truncated], [
      7,
      "x y\n/tmp\n",
      "a b\n",
      false,
    ]);
  },

  "exec() keeps a megabyte of output and discards the rest": async (operated) => {
    const id = await run(operated, { ...SLEEPER, name: "exec-much" });
    const result = await operated.manager.exec(id, ["head", "-c", "3000000", "/dev/zero"]);
    assertEquals([result.exitCode, result.stdout.length, result.truncated], [0, 1_048_576, true]);
  },
};

/** Needs an engine that isolates containers; the embedded engine refuses these options by name. */
const ON_DOCKER: Checks = {
  "create() sets limits, a mount and an init": async (operated) => {
    const id = await run(operated, {
      ...SLEEPER,
      name: "limited",
      mounts: [{ source: "/tmp", target: "/here", readOnly: true }],
      cpus: 0.5,
      memoryBytes: 64 * 1024 * 1024,
      pidsLimit: 50,
      capDrop: ["ALL"],
      init: "if-available",
    });
    const { HostConfig, Mounts } = await operated.manager.inspect(id) as unknown as {
      HostConfig: Record<string, unknown>;
      Mounts: { Source: string; Destination: string; RW: boolean }[];
    };
    const { NanoCpus, Memory, PidsLimit, CapDrop, Init } = HostConfig;
    assertEquals({ NanoCpus, Memory, PidsLimit, CapDrop, Init }, {
      NanoCpus: 500_000_000,
      Memory: 67_108_864,
      PidsLimit: 50,
      CapDrop: ["ALL"],
      Init: true,
    });
    assertEquals(Mounts.map(({ Source, Destination, RW }) => [Source, Destination, RW]), [[
      "/tmp",
      "/here",
      false,
    ]]);
  },
};

await testOnEngines("ContainerManager's operations hold", { checks: CHECKS, onDocker: ON_DOCKER });
