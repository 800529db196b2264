import { assert, assertEquals, assertMatch } from "@std/assert";
import { processStat } from "../../src/embedded_engine/processes/proc_files.ts";
import { type RecordedEvent, TestEngine } from "../support/engines/embedded_engine.ts";

const RECORDINGS = new URL("../fixtures/engine-events/docker-20.10.24/", import.meta.url);

/** The compared parts of an event: its action, and the attributes that are not the container's. */
function shapeOf({ Action, Actor: { Attributes: { signal, exitCode, oldName } } }: RecordedEvent): string {
  return [
    Action,
    signal && `signal=${signal}`,
    exitCode && `exitCode=${exitCode}`,
    oldName && `oldName=${oldName}`,
  ]
    .filter((part) => part !== undefined && part !== "").join(" ");
}

async function recorded(scenario: string): Promise<string[]> {
  const text = await Deno.readTextFile(new URL(`${scenario}.jsonl`, RECORDINGS));
  return text.trim().split("\n").map((line) => shapeOf(JSON.parse(line) as RecordedEvent))
    .filter((shape) => !shape.startsWith("attach") && !shape.startsWith("exec_")); // Those of the CLI's attach.
}

/** The script prints a line, and then waits so that it reacts to signals at once. */
const TRAPS_TERM = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";
const IGNORES_TERM = "trap '' TERM; echo ready; while :; do sleep 0.05; done";

/** Follows the log until the script has printed that it is ready. */
async function isReady(engine: TestEngine, id: string): Promise<void> {
  const response = await engine.fetch("GET", `/containers/${id}/logs?stdout=1&follow=1`);
  const reader = response.body!.getReader();
  assertEquals((await reader.read()).done, false);
  await reader.cancel();
}

const SCENARIOS: readonly (readonly [string, (engine: TestEngine) => Promise<void>])[] = [
  ["exit-0", async (engine) => {
    const id = await engine.run("true");
    assertEquals(await engine.wait(id), 0);
    await engine.call("DELETE", `/containers/${id}`);
  }],
  ["exit-3", async (engine) => {
    const id = await engine.run("exit 3");
    assertEquals(await engine.wait(id), 3);
    await engine.call("DELETE", `/containers/${id}`);
  }],
  ["stop-graceful", async (engine) => {
    const id = await engine.run(TRAPS_TERM);
    await isReady(engine, id);
    assertEquals((await engine.call("POST", `/containers/${id}/stop`)).status, 204);
    await engine.call("DELETE", `/containers/${id}`);
  }],
  ["stop-timeout", async (engine) => {
    const id = await engine.run(IGNORES_TERM);
    await isReady(engine, id);
    await engine.call("POST", `/containers/${id}/stop?t=0`);
    await engine.call("DELETE", `/containers/${id}`);
  }],
  ["kill", async (engine) => {
    const id = await engine.run("sleep 60");
    await engine.call("POST", `/containers/${id}/kill`);
    await engine.call("DELETE", `/containers/${id}`);
  }],
  ["kill-term-exits", async (engine) => {
    const id = await engine.run("exec sleep 60");
    await engine.call("POST", `/containers/${id}/kill?signal=TERM`);
    assertEquals(await engine.wait(id), 143);
    await engine.call("DELETE", `/containers/${id}`);
  }],
  ["rm-force", async (engine) => {
    const id = await engine.run("sleep 60");
    assertEquals((await engine.call("DELETE", `/containers/${id}?force=1`)).status, 204);
  }],
  ["docker-restart", async (engine) => {
    const id = await engine.run(IGNORES_TERM);
    await isReady(engine, id);
    assertEquals((await engine.call("POST", `/containers/${id}/restart?t=0`)).status, 204);
    await engine.call("DELETE", `/containers/${id}?force=1`);
  }],
  ["create-only", async (engine) => {
    await engine.call("DELETE", `/containers/${await engine.create("true")}`);
  }],
  ["start-fails", async (engine) => {
    const id = await engine.create("", { config: { Cmd: ["nosuchcmd"] } });
    assertEquals((await engine.call("POST", `/containers/${id}/start`)).status, 400);
    await engine.call("DELETE", `/containers/${id}`);
  }],
  ["auto-remove", async (engine) => {
    const id = await engine.create("true", { config: { HostConfig: { AutoRemove: true } } });
    const removed = engine.wait(id, "removed");
    await engine.call("POST", `/containers/${id}/start`);
    assertEquals(await removed, 0);
  }],
  ["rename-pause", async (engine) => {
    const id = await engine.run("sleep 60", { name: "one" });
    for (const operation of ["rename?name=two", "pause", "unpause"]) {
      assertEquals((await engine.call("POST", `/containers/${id}/${operation}`)).status, 204);
    }
    await engine.call("DELETE", `/containers/two?force=1`);
  }],
  ["restart-policy", async (engine) => {
    const policy = { Name: "on-failure", MaximumRetryCount: 2 };
    const id = await engine.run("exit 1", { config: { HostConfig: { RestartPolicy: policy } } });
    assertEquals(await engine.wait(id), 1);
    assertEquals((await engine.inspect(id))["RestartCount"], 2);
    await engine.call("DELETE", `/containers/${id}`);
  }],
];

for (const [scenario, play] of SCENARIOS) {
  Deno.test(`the embedded engine's events are those of Docker for ${scenario}`, async () => {
    await using engine = await TestEngine.start();
    await play(engine);
    assertEquals((await engine.events()).map(shapeOf), await recorded(scenario));
  });
}

Deno.test("labels overwrite attributes of events, except image and name", async () => {
  await using engine = await TestEngine.start();
  const Labels = { exitCode: "0", signal: "9", name: "evil", image: "evil" };
  const id = await engine.run("exit 5", { name: "spoof", config: { Labels } });
  assertEquals(await engine.wait(id), 5);
  const die = (await engine.events()).find(({ Action }) => Action === "die");
  assertEquals(die?.Actor.Attributes, { exitCode: "0", signal: "9", image: "busybox:local", name: "spoof" });
});

Deno.test("a failed start leaves the container created, and inspect shows 127 or 126 and the error", async () => {
  await using engine = await TestEngine.start();
  await Deno.writeTextFile(`${engine.dir}/plain`, "no program", { mode: 0o644 });
  for (
    const [command, exitCode, detail] of [
      ["nosuchcmd", 127, `exec: "nosuchcmd": executable file not found in $PATH: unknown`],
      ["/nope/x", 127, `exec: "/nope/x": stat /nope/x: no such file or directory: unknown`],
      [`${engine.dir}/plain`, 126, `exec: "${engine.dir}/plain": permission denied: unknown`],
    ] as const
  ) {
    const id = await engine.create("", { config: { Cmd: [command] } });
    const { status, body } = await engine.call("POST", `/containers/${id}/start`);
    const message = "failed to create shim task: OCI runtime create failed: runc create failed: " +
      `unable to start container process: ${detail}`;
    assertEquals({ status, body }, { status: 400, body: { message } });
    const { State: { Status, ExitCode, Error } } = await engine.inspect(id);
    assertEquals({ Status, ExitCode, Error }, { Status: "created", ExitCode: exitCode, Error: message });
  }
});

Deno.test("stopping a container that waits for its restart publishes a stop and no second die", async () => {
  await using engine = await TestEngine.start();
  const id = await engine.run("exit 1", { config: { HostConfig: { RestartPolicy: { Name: "always" } } } });
  await engine.until(({ Action }) => Action === "die");
  for (;;) { // The delay doubles, so that a stop arrives during one eventually.
    const { State } = await engine.inspect(id);
    if (State["Status"] === "restarting") break;
  }
  assertEquals((await engine.call("POST", `/containers/${id}/stop`)).status, 204);
  assertEquals((await engine.events()).at(-1)?.Action, "stop");
  assertEquals((await engine.inspect(id)).State["Status"], "exited");
});

Deno.test("the rest of a container's group is killed when its main process exits", async () => {
  await using engine = await TestEngine.start();
  const id = await engine.run("sleep 60 & echo $!");
  assertEquals(await engine.wait(id), 0);
  const pid = Number((await engine.logs(id)).stdout);
  assert(pid > 1);
  assertMatch(await stateOf(pid), /^(gone|Z)$/);
});

Deno.test("a container has the requested environment and directory, and no variable of the engine's", async () => {
  await using engine = await TestEngine.start();
  const id = await engine.run("env; pwd", {
    config: {
      Env: ["A=1", "A=2"],
      WorkingDir: engine.dir,
    },
  });
  await engine.wait(id);
  const lines = (await engine.logs(id)).stdout.trim().split("\n").filter((line) =>
    !/^(PWD|OLDPWD|SHLVL|_)=/.test(line)
  );
  assertEquals(lines.sort(), [
    engine.dir,
    "A=2",
    `HOME=${engine.dir}/e/containers/${id}/home`,
    `HOSTNAME=${id.slice(0, 12)}`,
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  ]);
});

Deno.test("health turns healthy, then unhealthy, with one event each and the probes' exec events", async () => {
  await using engine = await TestEngine.start();
  const Healthcheck = {
    Test: ["CMD-SHELL", "echo probing; test ! -e broken"],
    Interval: 20_000_000,
    Retries: 2,
  };
  const id = await engine.run("sleep 60", { config: { Healthcheck } });
  await engine.until(({ Action }) => Action === "health_status: healthy");
  await Deno.writeTextFile(`${engine.dir}/e/containers/${id}/home/broken`, "");
  await engine.until(({ Action }) => Action === "health_status: unhealthy");
  const { State } = await engine.inspect(id);
  const health = State["Health"] as {
    Status: string;
    FailingStreak: number;
    Log: { ExitCode: number; Output: string }[];
  };
  assertEquals(health.Status, "unhealthy");
  assert(health.FailingStreak >= 2);
  assertEquals(health.Log.at(-1)?.ExitCode, 1);
  assertEquals(health.Log.at(-1)?.Output, "probing\n");
  await engine.call("POST", `/containers/${id}/kill`);
  const events = await engine.events({ noise: true });
  const health_ = events.map(({ Action }) => Action).filter((action) => action.startsWith("health"));
  assertEquals(health_, ["health_status: healthy", "health_status: unhealthy"]);
  const first = events.slice(2, 5).map(({ Action }) => Action);
  assertEquals(first, [
    "exec_create: /bin/sh -c echo probing; test ! -e broken",
    "exec_start: /bin/sh -c echo probing; test ! -e broken",
    "exec_die",
  ]);
});

Deno.test("200 containers at once each exit with their own code, and each event is published once and in order", async () => {
  await using engine = await TestEngine.start();
  const follower = engine.follow();
  await engine.create("true");
  await follower.next(); // From here on it follows.
  const ids = await Promise.all(Array.from({ length: 200 }, (_, index) => engine.run(`exit ${index}`)));
  const shapes = new Map<string, string[]>(ids.map((id) => [id, []]));
  let last = 0;
  let died = 0;
  for (let next = await follower.next(); !next.done; next = await follower.next()) {
    assert(next.value.timeNano >= last);
    last = next.value.timeNano;
    shapes.get(next.value.Actor.ID)?.push(shapeOf(next.value));
    if (next.value.Action === "die" && ++died === ids.length) break;
  }
  await follower.return(undefined);
  for (const [index, id] of ids.entries()) {
    assertEquals(shapes.get(id), ["create", "start", `die exitCode=${index}`]);
  }
});

/** `gone`, or the letter of the state in ps. */
async function stateOf(pid: number): Promise<string> {
  return (await processStat(pid))?.state ?? "gone";
}
