import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { request } from "../../src/client/control_exchange.ts";
import { VERSION } from "../../src/protocol/version.ts";
import { APEX_COMMAND, ApexHome, eventually } from "../support/daemons/apex_process.ts";
import { ContainerDriver } from "../support/engines/container_driver.ts";

Deno.test("apex demo shows every kind of exit", async () => {
  await using home = await ApexHome.create();
  const { code, stdout, stderr } = await home.apex(["demo"]);
  const events = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(
    events.filter(({ type }) => /\.(died|stopped)$/.test(type)).map(({ type, exitCode }) =>
      `${type} ${exitCode}`
    ),
    [
      "container.died 0",
      "container.died 3",
      "container.died 137",
      "container.stopped 0",
      "container.died 137",
    ],
  );
  assert(events.some(({ type, status }) => type === "container.health" && status === "unhealthy"));
  assertStringIncludes(stderr, "unhealthy");
  assertEquals(code, 0);
});

Deno.test("apex ps and apex status agree with the event stream, as tables and as JSON", async () => {
  await using home = await ApexHome.create();
  await using daemon = await home.startDaemon();
  using engine = new ContainerDriver(home.engineSocket);
  const id = await engine.create({ name: "apex-task-p1", Cmd: ["sh", "-c", "exit 4"] });
  await engine.start(id);
  await engine.wait(id);
  await eventually(
    async () => (await request(home.controlSocket, "containers.list", {})).containers[0]?.state === "exited",
    "the daemon has noticed the exit",
  );

  const table = await home.apex(["ps"]);
  assertMatch(table.stdout, /^ID +NAME +IMAGE +STATE +HEALTH +TASK +AGE\n/);
  assertMatch(
    table.stdout,
    new RegExp(`^${id.slice(0, 12)} +apex-task-p1 +busybox:local +exited \\(4\\) +- +p1 `, "m"),
  );
  const [container] = JSON.parse((await home.apex(["ps", "--json"])).stdout);
  assertEquals([container.id, container.state, container.exitCode, container.taskId], [
    id,
    "exited",
    4,
    "p1",
  ]);

  const status = JSON.parse((await home.apex(["status", "--json"])).stdout);
  assertEquals([status.version, status.pid, status.engine.kind, status.engine.state], [
    VERSION,
    daemon.pid,
    "embedded",
    "connected",
  ]);
  // engine.connected, created, started, died
  assertEquals([status.eventsPublished, status.log.head], [4, 4]);
  const text = await home.apex(["status"]);
  assertStringIncludes(text.stdout, `pid ${daemon.pid}`);
  assertEquals([text.code, text.stderr], [0, ""]);
});

Deno.test("apex events exits with 0 when the reader of its output exits", async () => {
  await using home = await ApexHome.create();
  await using _daemon = await home.startDaemon();
  using engine = new ContainerDriver(home.engineSocket);
  const quoted = APEX_COMMAND.map((word) => `'${word}'`).join(" ");
  const pipeline = new Deno.Command("sh", {
    args: ["-c", `{ ${quoted} events; echo "status $?" >&2; } | head -n 1`],
    env: home.env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await eventually(
    async () => (await request(home.controlSocket, "status", {})).subscribers > 0,
    "apex events has connected",
  );
  const ended = pipeline.output();
  let over = false;
  const watched = ended.finally(() => over = true);
  // The reader exits after the first line; the writer notices with a later one.
  while (!over) await engine.remove(await engine.create({ name: "line" }));
  const { stdout, stderr } = await watched;
  assertEquals(JSON.parse(new TextDecoder().decode(stdout)).type, "container.created");
  assertEquals(new TextDecoder().decode(stderr), "status 0\n");
});

Deno.test("verbs report in one line that no daemon runs, and exit with 3", async () => {
  await using home = await ApexHome.create();
  for (const verb of ["events", "ps", "status"]) {
    const { code, stdout, stderr } = await home.apex(["-D", verb]);
    assertEquals([code, stdout], [3, ""]);
    assertEquals(
      stderr,
      `apex: no daemon is running (no socket at ${
        verb === "events" ? home.eventsSocket : home.controlSocket
      }); ` +
        "start one with: apex daemon\n",
    );
  }
});

Deno.test("the daemon refuses a runtime directory that other users can access, and explains the remedy", async () => {
  await using home = await ApexHome.create();
  await Deno.mkdir(`${home.dir}/real`, { mode: 0o700 });
  await Deno.symlink(`${home.dir}/real`, `${home.dir}/run`);
  const linked = await home.apex(["daemon", "--engine", "embedded"]);
  assertEquals(linked.code, 1);
  assertStringIncludes(linked.stderr, `refusing to use ${home.dir}/run: it is a symbolic link`);

  await Deno.remove(`${home.dir}/run`);
  await Deno.mkdir(`${home.dir}/run`);
  await Deno.chmod(`${home.dir}/run`, 0o755);
  const open = await home.apex(["daemon", "--engine", "embedded"]);
  assertEquals(open.code, 1);
  assertStringIncludes(open.stderr, `run: chmod 700 ${home.dir}/run`);
});
