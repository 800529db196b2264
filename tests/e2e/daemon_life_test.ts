/** Starting a daemon in the background, stopping and replacing it; and clients that name another engine than the daemon has. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { request } from "../../src/client/control_exchange.ts";
import { isListenedOn } from "../../src/platform/unix_socket.ts";
import { VERSION } from "../../src/protocol/version.ts";
import { ApexHome, eventually, hasEnded } from "../support/daemons/apex_process.ts";
import { dockerAvailable, startDocker } from "../support/engines/docker_engine.ts";

const TASK = ["--image", "busybox:local", "--network", "none"];

Deno.test("apex daemon -d starts a daemon in the background and prints its status; a second one is an error", async () => {
  await using home = await ApexHome.create();
  const started = await home.apex(["daemon", "-d", "--engine", "embedded"]);
  const { pid } = await request(home.controlSocket, "status", {});
  assertMatch(
    started.stdout,
    new RegExp(
      `^daemon  apex ${VERSION}, pid ${pid}, up .*\\nengine  embedded .*, connected\\n` +
        ` +${home.engineSocket} \\(from --engine\\)\\nlog     ${home.dir}/state/daemon.log\\n$`,
    ),
  );
  assertEquals([started.code, started.stderr], [0, ""]);
  const again = await home.apex(["daemon", "--detach"]);
  assertEquals([again.code, again.stdout], [5, ""]);
  assertStringIncludes(again.stderr, `apex: a daemon is already running (pid ${pid}, `);
});

Deno.test("apex stop returns when the daemon has ended, and exits with 3 when none runs", async () => {
  await using home = await ApexHome.create();
  await home.apex(["daemon", "-d", "--engine", "embedded"]);
  const { pid } = await request(home.controlSocket, "status", {});
  const stopped = await home.apex(["stop"]);
  assertEquals(
    [stopped.code, stopped.stdout, stopped.stderr],
    [0, "", `apex: stopped the daemon (pid ${pid}); tasks and sessions continue\n`],
  );
  assert(await hasEnded(pid));
  assert(!await isListenedOn(home.controlSocket) && !await isListenedOn(home.eventsSocket));
  const again = await home.apex(["stop"]);
  assertEquals([again.code, again.stdout], [3, ""]);
  assertMatch(again.stderr, /^apex: cannot stop the daemon: none is running at .*\n$/);
});

Deno.test("apex stop ends a daemon in the foreground cleanly, even with connected clients", async () => {
  await using home = await ApexHome.create();
  await using daemon = await home.startDaemon();
  await using events = home.spawn(["events"]);
  await eventually(
    async () => (await request(home.controlSocket, "status", {})).subscribers === 1,
    "the client has subscribed",
  );
  assertEquals((await home.apex(["stop"])).code, 0);
  assertEquals([(await daemon.finished()).code, (await events.finished()).code], [0, 0]);
});

Deno.test("apex restart keeps engine, options, tasks, sessions and consumers", async () => {
  await using home = await ApexHome.create();
  await using old = await home.startDaemon(["--engine", "embedded", "--log-level", "debug"]);
  const { flags, engine } = await request(home.controlSocket, "status", {});
  await using events = home.spawn(["events", "--reconnect", "--type", "task.*"]);
  await eventually(
    async () => (await request(home.controlSocket, "status", {})).subscribers === 1,
    "the client has subscribed",
  );
  const go = `${home.dir}/go`;
  await home.apex([
    "run",
    ...TASK,
    "-d",
    "--task",
    "t",
    "--",
    "sh",
    "-c",
    `until test -e ${go}; do sleep 0.05; done; exit 9`,
  ]);
  assertEquals(
    (await home.apex([
      "attach",
      "-b",
      "dev",
      "--image",
      "busybox:local",
      "--network",
      "none",
      "--cmd",
      "cat",
    ])).code,
    0,
  );

  const restarted = await home.apex(["restart"], { env: { DOCKER_HOST: "unix:///no/such.sock" } });
  assertEquals([restarted.code, restarted.stderr], [0, ""]);
  assertEquals((await old.finished()).code, 0);
  const now = await request(home.controlSocket, "status", {});
  assert(now.pid !== old.pid);
  assertStringIncludes(restarted.stdout, `pid ${now.pid}`);
  assertEquals([now.flags, now.engine.socket, now.engine.source], [flags, engine.socket, engine.source]);
  assertEquals([now.tasks, now.sessions], [{ running: 1, pending: 0 }, { attached: 0, detached: 1 }]);

  await Deno.writeTextFile(go, "");
  assertEquals((await home.apex(["wait", "t"])).code, 9);
  const types = () => events.stdoutSoFar.trim().split("\n").map((line) => JSON.parse(line).type);
  await eventually(() => events.stdoutSoFar.includes("task.failed"), "the consumer has received the end");
  assertEquals(types(), ["task.created", "task.started", "task.failed"]);
  assertEquals((await home.apex(["kill", "dev"])).code, 0);
});

Deno.test("apex restart keeps the engine that the old daemon found with DOCKER_HOST, unless --engine is given", async () => {
  await using home = await ApexHome.create();
  await using _embedded = await home.startDaemon(); // it starts the engine
  await home.apex(["stop"]);
  const DOCKER_HOST = `unix://${home.engineSocket}`;
  assertEquals((await home.apex(["daemon", "-d"], { env: { DOCKER_HOST } })).code, 0);
  assertEquals((await home.apex(["restart"])).code, 0);
  const { engine } = await request(home.controlSocket, "status", {});
  assertEquals([engine.socket, engine.source], [home.engineSocket, "DOCKER_HOST"]);
  assertEquals((await home.apex(["restart", "--engine", "embedded"])).code, 0);
  assertEquals((await request(home.controlSocket, "status", {})).engine.source, "--engine");
});

Deno.test("apex restart starts a daemon and reports that none was running", async () => {
  await using home = await ApexHome.create();
  const { code, stdout, stderr } = await home.apex(["restart", "--engine", "embedded"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^daemon .*\nengine {2}embedded/);
  assertMatch(stderr, /^apex: no daemon was running at /);
});

Deno.test("a daemon that a client has started ends if it reaches no engine, and the client reports why", async () => {
  await using home = await ApexHome.create();
  const env = { DOCKER_HOST: "unix:///no/such.sock" };
  for (
    const [args, status] of [[["run", "--", "true"], 125], [["daemon", "-d"], 1], [["events"], 1]] as const
  ) {
    const { code, stdout, stderr } = await home.apex(args, { env });
    assertEquals([code, stdout], [status, ""]);
    const [, pid] = stderr.match(
      /^apex: the daemon that was started for this \(pid (\d+); log: .*\/state\/daemon\.log\) has ended without an engine; start one, or name another with --engine: .*\/no\/such\.sock \(from DOCKER_HOST\).*\n$/,
    ) ?? [];
    assert(pid !== undefined, stderr);
    assert(await hasEnded(Number(pid)));
  }
  assertMatch(
    await Deno.readTextFile(`${home.dir}/state/daemon.log`),
    /ends without an engine .*DOCKER_HOST/,
  );
  assertEquals((await home.apex(["status"])).code, 3);
});

Deno.test("a verb that fails without an engine names the daemon, the source of its engine, and the remedy", async () => {
  await using home = await ApexHome.create();
  await using daemon = await home.startDaemon(["--engine", "unix:///no/such.sock"], { engineIsThere: false });
  for (const [args, status] of [[["ps"], 1], [["run", "--", "true"], 125], [["list"], 1]] as const) {
    const { code, stderr } = await home.apex(args);
    assertEquals(code, status);
    assertMatch(
      stderr,
      new RegExp(
        `^apex: the daemon \\(pid ${daemon.pid}\\) .*\\(apex stop\\).*/no/such\\.sock \\(from --engine\\)`,
      ),
    );
  }
});

Deno.test("no task or session is created while the engine is disconnected, and the error names the daemon", async () => {
  await using home = await ApexHome.create();
  await using daemon = await home.startDaemon();
  await home.endEngine();
  await eventually(
    async () => (await request(home.controlSocket, "status", {})).engine.state === "disconnected",
    "the daemon has lost its engine",
  );
  for (const args of [["run", ...TASK, "--", "true"], ["attach", "-b", "dev", "--image", "busybox:local"]]) {
    const { code, stderr } = await home.apex(args);
    assertEquals(code, 125);
    assertStringIncludes(
      stderr,
      `apex: the daemon (pid ${daemon.pid}) has lost its engine at ${home.engineSocket} (from --engine); `,
    );
    assertStringIncludes(stderr, "(apex stop)");
  }
  assertEquals(JSON.parse((await home.apex(["tasks", "--all", "--json"])).stdout), []);
});

Deno.test("no verb runs anything on another engine than the one that is named", async () => {
  await using home = await ApexHome.create();
  await using _daemon = await home.startDaemon();
  const ran = `${home.dir}/ran`;
  const docker = ["--engine", "docker", "--memory", "8m", "-u", "nobody", "--image", "alpine"];
  const run = await home.apex(["run", ...docker, "--", "touch", ran]);
  assertEquals([run.code, run.stdout], [125, ""]);
  assertMatch(
    run.stderr,
    /^apex: the daemon \(pid \d+\) follows embedded at .*, but --engine names docker; .*\n$/,
  );
  const attach = await home.apex(["attach", "-b", "dev", "--engine", "podman", "--", "touch", ran]);
  assertEquals(attach.code, 125);
  const env = { DOCKER_HOST: "unix:///no/such.sock" };
  assertEquals((await home.apex(["run", ...TASK, "--", "touch", ran], { env })).code, 125);
  assertEquals((await home.apex(["cancel", "t"], { env })).code, 5);
  assertEquals((await home.apex(["workspaces", "clean", "--yes"], { env })).code, 5);
  const ps = await home.apex(["ps", "--json"], { env });
  assertEquals([ps.code, JSON.parse(ps.stdout)], [0, []]);
  assertMatch(ps.stderr, /^apex: .* but DOCKER_HOST names unix:\/\/\/no\/such\.sock; .*\n$/);
  assertEquals((await home.apex(["status"], { env })).stderr, "");
  const accepted = await home.apex(["run", ...TASK, "--engine", "embedded", "--", "true"], { env });
  assertEquals([accepted.code, accepted.stderr], [0, ""]);
});

Deno.test({
  name:
    "a daemon on Docker serves clients that name the engine by kind, by socket, or by a link to the socket",
  ignore: !await dockerAvailable(),
  async fn() {
    await using docker = await startDocker();
    await using home = await ApexHome.create();
    await using _daemon = await home.startDaemon(["--engine", `unix://${docker.socketPath}`]);
    await Deno.symlink(docker.socketPath, `${home.dir}/link.sock`);
    const run = (args: readonly string[], env = {}) =>
      home.apex(["run", ...TASK, ...args, "--", "true"], { env });
    for (const host of [docker.socketPath, `${home.dir}/link.sock`]) {
      const { code, stderr } = await run([], { DOCKER_HOST: `unix://${host}` });
      assertEquals([code, stderr], [0, ""]);
    }
    assertEquals((await run(["--engine", "docker"])).code, 0);
    const other = await run(["--engine", "embedded"]);
    assertEquals(other.code, 125);
    assertStringIncludes(
      other.stderr,
      `follows docker at ${docker.socketPath} (from --engine), but --engine names embedded`,
    );
    assertStringIncludes(other.stderr, `(--engine unix://${docker.socketPath})`);
  },
});
