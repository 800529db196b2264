/**
 * Tasks from end to end, from `apex run` to the last event, on the embedded engine and on Docker. Tests for only one of them
 * are at the end.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { request } from "../../src/client/control_exchange.ts";
import type { TaskResult } from "../../src/protocol/task_operations.ts";
import { ApexHome, type ApexProcess, EventsReader, eventually } from "../support/daemons/apex_process.ts";
import { ContainerDriver } from "../support/engines/container_driver.ts";
import { dockerAvailable, startDocker } from "../support/engines/docker_engine.ts";

/** A daemon on an engine. */
interface Rig extends AsyncDisposable {
  readonly home: ApexHome;
  readonly engine: ContainerDriver;
  readonly daemonArgs: readonly string[];
  daemon: ApexProcess;
  /** Restarts the engine, so that it forgets its events. The next daemon starts the embedded engine. */
  restartEngine(): Promise<void>;
  /** Runs `apex run` with the options that this engine needs. */
  run(args: readonly string[]): ReturnType<ApexHome["apex"]>;
  spawnRun(args: readonly string[]): ApexProcess;
}

async function startRig(kind: "embedded" | "docker"): Promise<Rig> {
  await using stack = new AsyncDisposableStack();
  const docker = kind === "docker" ? stack.use(await startDocker()) : undefined;
  const home = stack.use(await ApexHome.create());
  // Some commands here ignore SIGTERM.
  await home.configure('stop_timeout = "1s"\n');
  const daemonArgs = ["--engine", docker === undefined ? "embedded" : `unix://${docker.socketPath}`];
  const daemon = await home.startDaemon(daemonArgs);
  const options = docker === undefined ? [] : ["--network", "none"];
  const engine = stack.use(new ContainerDriver(docker?.socketPath ?? home.engineSocket));
  const runArgs = (args: readonly string[]) => ["run", "--image", "busybox:local", ...options, ...args];
  const rig: Rig = {
    home,
    engine,
    daemonArgs,
    daemon,
    restartEngine: async () => {
      if (docker === undefined) return await home.endEngine();
      await docker.stop();
      await docker.restart();
    },
    run: (args) => home.apex(runArgs(args)),
    spawnRun: (args) => home.spawn(runArgs(args)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  stack.defer(() => rig.daemon[Symbol.asyncDispose]());
  const owned = stack.move();
  return rig;
}

async function tasksOf({ home }: Rig): Promise<TaskResult[]> {
  return (await request(home.controlSocket, "tasks.list", { all: true })).tasks;
}

async function taskOf(rig: Rig, taskId: string): Promise<TaskResult | undefined> {
  return (await tasksOf(rig)).find((task) => task.taskId === taskId);
}

function untilState(rig: Rig, taskId: string, state: TaskResult["state"]): Promise<void> {
  return eventually(async () => (await taskOf(rig, taskId))?.state === state, `${taskId} is ${state}`);
}

/** The remaining containers that apex has created. */
async function containersLeft({ engine }: Rig): Promise<string[]> {
  const containers = await engine.client.listContainers();
  return containers.filter(({ Labels }) => Labels?.["apex.managed"] === "true").map(({ Names }) =>
    Names![0]!
  );
}

function untilNothingIsLeft(rig: Rig): Promise<void> {
  return eventually(async () => (await containersLeft(rig)).length === 0, "nothing is left behind");
}

const ENGINES = ["embedded", ...(await dockerAvailable() ? ["docker" as const] : [])] as const;

for (const kind of ENGINES) {
  Deno.test(`apex run on ${kind} passes on output and exit status, and removes its container`, async () => {
    await using rig = await startRig(kind);
    const result = await rig.run(["--", "sh", "-c", "echo out; echo err >&2; exit 3"]);
    assertEquals(result, { code: 3, stdout: "out\n", stderr: "err\n" });
    for (const status of [0, 1]) {
      assertEquals((await rig.run(["--", "sh", "-c", `exit ${status}`])).code, status);
    }
    const killed = await rig.run(["--", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]);
    assertEquals(killed.code, 137);
    const long = await rig.run(["--", "sh", "-c", "seq 1 200000"]);
    assertEquals([long.code, long.stdout.length], [0, 1_288_895]);
    assertEquals(
      (await tasksOf(rig)).map(({ state, reason, exitCode }) => `${state} ${reason} ${exitCode}`),
      [
        "completed exit 0",
        "failed signal 137",
        "failed exit 1",
        "completed exit 0",
        "failed exit 3",
      ],
    );
    await untilNothingIsLeft(rig);
  });

  Deno.test(`a task on ${kind} publishes exactly this sequence of events`, async () => {
    await using rig = await startRig(kind);
    using events = await EventsReader.connect(rig.home.eventsSocket);
    await request(rig.home.controlSocket, "status", {});
    assertEquals((await rig.run(["--task", "t1", "--", "sh", "-c", "exit 4"])).code, 4);
    assertEquals((await rig.run(["--task", "t2", "--", "true"])).code, 0);
    const all = await events.until(({ type, taskId }) => type === "workspace.cleaned" && taskId === "t2");
    const typesOf = (id: string) => all.filter(({ taskId }) => taskId === id).map(({ type }) => type);
    const sequence = (end: string) => [
      "task.created",
      "container.created",
      "workspace.created",
      "container.started",
      "task.started",
      "container.died",
      end,
      "container.removed",
      "workspace.cleaned",
    ];
    assertEquals(typesOf("t1"), sequence("task.failed"));
    assertEquals(typesOf("t2"), sequence("task.completed"));
    const failed = all.find(({ type }) => type === "task.failed")!;
    assertEquals([failed.exitCode, failed.reason], [4, "exit"]);
  });

  Deno.test(`apex run on ${kind} forwards signals, and kills with the second SIGINT`, async () => {
    await using rig = await startRig(kind);
    const stubborn = 'trap "echo caught" INT; echo ready; while :; do sleep 0.1; done';
    await using run = rig.spawnRun(["--", "sh", "-c", stubborn]);
    await eventually(() => run.stdoutSoFar.includes("ready"), "it runs");
    run.kill("SIGINT");
    await eventually(() => run.stdoutSoFar.includes("caught"), "it got the signal");
    run.kill("SIGINT");
    assertEquals((await run.finished()).code, 137);
    await using polite = rig.spawnRun([
      "--",
      "sh",
      "-c",
      'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done',
    ]);
    await eventually(() => polite.stdoutSoFar.includes("ready"), "it runs");
    polite.kill("SIGTERM");
    assertEquals((await polite.finished()).code, 7);
  });

  Deno.test(`a task on ${kind} survives its client; other clients wait for it, print its output, and cancel it`, async () => {
    await using rig = await startRig(kind);
    {
      await using client = rig.spawnRun(["--task", "lone", "--", "sh", "-c", "echo started; sleep 600"]);
      await eventually(() => client.stdoutSoFar.includes("started"), "it runs");
    }
    const id = await rig.run([
      "-d",
      "--task",
      "other",
      "--",
      "sh",
      "-c",
      "echo one; echo two >&2; sleep 600",
    ]);
    assertEquals([id.code, id.stdout], [0, "other\n"]);
    const { home } = rig;
    await eventually(
      async () => (await home.apex(["logs", "other"])).stdout === "one\n",
      "its output is available",
    );
    assertEquals((await home.apex(["logs", "--tail", "1", "other"])).code, 0);
    const table = await home.apex(["tasks"]);
    assertMatch(table.stdout, /^lone +running /m);
    assertMatch(table.stdout, /^other +running /m);
    const [inspected] = JSON.parse((await home.apex(["inspect", "lone"])).stdout);
    assertEquals(inspected.task.taskId, "lone");

    await using waiting = home.spawn(["wait", "lone"]);
    assertEquals((await home.apex(["wait", "--timeout", "50ms", "lone"])).code, 124);
    const cancelled = await home.apex(["cancel", "lone", "unknown", "other"]);
    assertEquals(cancelled.code, 4);
    assertStringIncludes(cancelled.stderr, "unknown");
    assert((await waiting.finished()).code > 128);
    assertEquals((await tasksOf(rig)).map(({ state }) => state), ["cancelled", "cancelled"]);
    await untilNothingIsLeft(rig);
  });

  Deno.test(`apex run on ${kind} exits with 125 for invalid arguments, and creates nothing`, async () => {
    await using rig = await startRig(kind);
    const taken = rig.spawnRun(["--task", "taken", "--", "sleep", "600"]);
    await using _taken = taken;
    await untilState(rig, "taken", "running");
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [["--memory", "12x", "--", "true"], /12x/],
      [["--task", "no/slash", "--", "true"], /no\/slash/],
      [["-v", "/nowhere/at/all:/data", "--", "true"], /\/nowhere\/at\/all/],
      [["-v", "not-a-mount", "--", "true"], /not-a-mount/],
      [["--timeout", "soon", "--", "true"], /soon/],
      [["--task", "taken", "--", "true"], /taken/],
    ];
    for (const [args, message] of cases) {
      const { code, stderr, stdout } = await rig.run(args);
      assertEquals([code, stdout], [125, ""], args.join(" "));
      assertMatch(stderr, message);
      assertMatch(stderr, /^apex: [^\n]+\n$/);
    }
    const absent = await rig.run(["--", "/no/such/program"]);
    assertEquals(absent.code, 127);
    assertEquals((await rig.run(["--no-such-flag", "--", "true"])).code, 125);
    assertEquals((await rig.home.apex(["cancel", "taken"])).code, 0);
    await untilNothingIsLeft(rig);
  });

  Deno.test(`tasks on ${kind} get their exit status, even if they end while the daemon is down`, async () => {
    await using rig = await startRig(kind);
    const { home } = rig;
    const ids = Array.from({ length: 20 }, (_, n) => `t${n}`);
    for (const [n, id] of ids.entries()) {
      const script = `while [ ! -e ${home.dir}/go${n} ]; do sleep 0.05; done; exit ${n}`;
      const mount = kind === "docker" ? ["-v", `${home.dir}:${home.dir}:ro`] : [];
      assertEquals(
        (await rig.run(["-d", "--keep", "--task", id, ...mount, "--", "sh", "-c", script])).code,
        0,
      );
    }
    rig.daemon.kill("SIGKILL");
    await rig.daemon.finished();
    for (let n = 0; n < 10; n++) await Deno.writeTextFile(`${home.dir}/go${n}`, "");
    await eventually(
      async () =>
        (await rig.engine.client.listContainers()).filter(({ State }) => State === "exited").length === 10,
      "ten have ended",
    );
    rig.daemon = await home.startDaemon(rig.daemonArgs);
    const ends = async () =>
      Object.fromEntries(
        (await tasksOf(rig)).map(({ taskId, state, exitCode }) => [taskId, `${state} ${exitCode}`]),
      );
    await eventually(
      async () => Object.values(await ends()).filter((end) => !end.startsWith("running")).length === 10,
      "ten ends are known",
    );
    for (let n = 10; n < 20; n++) await Deno.writeTextFile(`${home.dir}/go${n}`, "");
    await eventually(
      async () => !Object.values(await ends()).some((end) => end.startsWith("running")),
      "all ended",
    );
    assertEquals(
      await ends(),
      Object.fromEntries(ids.map((id, n) => [id, n === 0 ? "completed 0" : `failed ${n}`])),
    );
  });

  Deno.test(`a task on ${kind} whose container another program removes fails with a signal, or is lost`, async () => {
    await using rig = await startRig(kind);
    const run = async (task: string) => {
      assertEquals((await rig.run(["-d", "--task", task, "--", "sleep", "600"])).code, 0);
      return (await taskOf(rig, task))!.containerId!;
    };
    await rig.engine.remove(await run("seen"), { force: true });
    await untilState(rig, "seen", "failed");
    const removeWithoutDaemon = async (task: string, alsoBefore: () => Promise<void>) => {
      const id = await run(task);
      rig.daemon.kill("SIGKILL");
      await rig.daemon.finished();
      await rig.engine.remove(id, { force: true });
      await alsoBefore();
      rig.daemon = await rig.home.startDaemon(rig.daemonArgs);
      await untilState(rig, task, "failed");
    };
    await removeWithoutDaemon("reported-later", async () => {});
    // After the restart the engine does not know how that container ended.
    await removeWithoutDaemon("vanished", () => rig.restartEngine());
    assertEquals(
      (await tasksOf(rig)).map(({ taskId, reason, exitCode }) => [taskId, reason, exitCode]),
      [["vanished", "lost", undefined], ["reported-later", "signal", 137], ["seen", "signal", 137]],
    );
  });

  Deno.test(`apex workspaces on ${kind} lists orphans, and clean removes them`, async () => {
    await using rig = await startRig(kind);
    const { home, engine } = rig;
    const { instance } = await request(home.controlSocket, "status", {});
    const labels = { "apex.managed": "true", "apex.instance": instance, "apex.task-id": "forgotten" };
    await engine.create({
      name: "apex-task-forgotten",
      Labels: labels,
      HostConfig: { NetworkMode: "none" },
    });
    assertEquals((await rig.run(["--keep", "--task", "kept", "--", "true"])).code, 0);
    await eventually(
      async () => /^forgotten .*orphan/m.test((await home.apex(["workspaces"])).stdout),
      "the orphan is shown",
    );
    assertEquals((await home.apex(["workspaces", "clean"])).code, 2);
    const cleaned = await home.apex(["workspaces", "clean", "--yes"]);
    assertEquals(cleaned.code, 0);
    assertEquals(cleaned.stdout, "apex-task-forgotten\n");
    assertMatch((await home.apex(["workspaces"])).stdout, /^kept .*kept\)/m);
    assertEquals((await home.apex(["workspaces", "clean", "--yes", "kept"])).stdout, "apex-task-kept\n");
    assertEquals(await containersLeft(rig), []);
  });
}

Deno.test("apex run and apex events start a daemon that survives them, unless -D is given", async () => {
  await using home = await ApexHome.create();
  assertEquals((await home.apex(["-D", "run", "--", "true"])).code, 125);
  assertEquals((await home.apex(["-D", "events"])).code, 3);
  await home.configure('engine = "embedded"\n');
  const runs = await Promise.all(
    Array.from(
      { length: 5 },
      (_, n) => home.apex(["run", "--task", `t${n}`, "--", "sh", "-c", `echo ${n}; exit ${n}`]),
    ),
  );
  assertEquals(runs.map(({ code, stdout }) => [code, stdout]), [0, 1, 2, 3, 4].map((n) => [n, `${n}\n`]));
  assert(runs.some(({ stderr }) => /^apex: started a daemon \(pid \d+; log: .*daemon\.log\)$/m.test(stderr)));
  // A daemon that was started late may take over from the one that ends.
  await eventually(async () => {
    const { code, stdout } = await home.apex(["status", "--json"]);
    if (code === 0) Deno.kill(JSON.parse(stdout).pid, "SIGTERM");
    return code === 3;
  }, "the daemon has ended");
});

Deno.test("a client reports why the daemon that it has started failed", async () => {
  await using home = await ApexHome.create();
  await home.configure(
    'engine = "unix:///no/such.sock"\nmax_subscribers = "x"\n',
  );
  const { code, stderr } = await home.apex(["run", "--", "true"]);
  assertEquals(code, 125);
  assertStringIncludes(stderr, "max_subscribers");
});

Deno.test({
  name: "on Docker, a task that ran out of memory differs from one that was killed",
  ignore: !await dockerAvailable(),
  async fn() {
    await using rig = await startRig("docker");
    const oom = await rig.run(["--task", "oom", "--memory", "8m", "--", "tail", "/dev/zero"]);
    assertEquals(oom.code, 137);
    await using killed = rig.spawnRun(["--task", "killed", "--", "sleep", "600"]);
    await untilState(rig, "killed", "running");
    await rig.engine.kill((await taskOf(rig, "killed"))!.containerId!);
    assertEquals((await killed.finished()).code, 137);
    assertEquals((await tasksOf(rig)).map(({ taskId, reason }) => [taskId, reason]), [
      ["killed", "signal"],
      ["oom", "oom"],
    ]);
    const missing = await rig.home.apex(["run", "--image", "no-such-image-anywhere:1", "--", "true"]);
    assertEquals(missing.code, 125);
    assertStringIncludes(missing.stderr, "no-such-image-anywhere:1");
    await untilNothingIsLeft(rig);
  },
});
