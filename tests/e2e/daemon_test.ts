import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { request } from "../../src/client/control_exchange.ts";
import { ApexHome, type ApexProcess, EventsReader, eventually } from "../support/daemons/apex_process.ts";
import { ContainerDriver } from "../support/engines/container_driver.ts";

Deno.test("a subscriber receives all changes of a container line by line, with its task id", async () => {
  await using home = await ApexHome.create();
  await using _daemon = await home.startDaemon();
  using engine = new ContainerDriver(home.engineSocket);
  using reader = await EventsReader.connect(home.eventsSocket);
  await request(home.controlSocket, "status", {});

  const id = await engine.create({ name: "apex-task-a.b-1", Cmd: ["sh", "-c", "exit 3"] });
  await engine.start(id);
  await engine.wait(id);
  await engine.remove(id);

  const events = await reader.until((event) => event.type === "container.removed");
  const ours = events.filter((event) => event.containerId === id);
  assertEquals(ours.map(({ type, taskId, exitCode }) => ({ type, taskId, exitCode })), [
    { type: "container.created", taskId: "a.b-1", exitCode: undefined },
    { type: "container.started", taskId: "a.b-1", exitCode: undefined },
    { type: "container.died", taskId: "a.b-1", exitCode: 3 },
    { type: "container.removed", taskId: "a.b-1", exitCode: 3 },
  ]);
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  Deno.test(`the daemon unlinks both sockets, ends subscribers cleanly, and exits with 0 on ${signal}`, async () => {
    await using home = await ApexHome.create();
    await using daemon = await home.startDaemon();
    await using events = await startEvents(home);
    daemon.kill(signal);
    assertEquals((await daemon.finished()).code, 0);
    const { code, stderr } = await events.finished();
    assertEquals([code, stderr], [0, ""]);
    assertEquals(await exists(home.controlSocket), false);
    assertEquals(await exists(home.eventsSocket), false);
  });
}

Deno.test("the daemon exits at once on a second signal, even if a subscriber has unread events", async () => {
  await using home = await ApexHome.create();
  await using daemon = await home.startDaemon();
  using engine = new ContainerDriver(home.engineSocket);
  using _stalled = await Deno.connect({ transport: "unix", path: home.eventsSocket });
  // More than the socket's buffers hold, so that the daemon has to wait for the stalled subscriber.
  const labels = { text: "x".repeat(60_000) };
  for (let i = 0; i < 12; i++) await engine.remove(await engine.create({ name: `c${i}`, Labels: labels }));
  await eventually(
    async () => (await request(home.controlSocket, "status", {})).eventsPublished >= 24,
    "24 events",
  );
  daemon.kill("SIGTERM");
  await eventually(async () => !await exists(home.controlSocket), "the daemon is ending");
  daemon.kill("SIGTERM");
  assertEquals((await daemon.finished()).code, 128 + 15);
});

Deno.test("a daemon takes over from one that was killed, while the engine keeps running", async () => {
  await using home = await ApexHome.create();
  await using killed = await home.startDaemon();
  using engine = new ContainerDriver(home.engineSocket);
  const id = await engine.create({ name: "survivor", Cmd: ["sleep", "600"] });
  await engine.start(id);
  await using events = await startEvents(home);

  killed.kill("SIGKILL");
  const { code, stderr } = await events.finished();
  assertEquals(code, 6);
  assertStringIncludes(stderr, "broke off");
  assert(await exists(home.controlSocket), "a killed daemon leaves its socket");

  await using _daemon = await home.startDaemon();
  using reader = await EventsReader.connect(home.eventsSocket);
  const { containers } = await request(home.controlSocket, "containers.list", {});
  assertEquals(containers.map(({ name, state }) => [name, state]), [["survivor", "running"]]);
  await engine.kill(id);
  const seen = await reader.until((event) => event.type === "container.died");
  assertEquals(seen.at(-1)!.signal, "SIGKILL");
});

Deno.test("of many daemons started at once exactly one keeps running, and the others name it", async () => {
  const starts = 50;
  await using home = await ApexHome.create();
  await using processes = new AsyncDisposableStack();
  const daemons: ApexProcess[] = [];
  for (let i = 0; i < starts; i++) {
    daemons.push(processes.use(home.spawn(["daemon", "--engine", "unix:///nowhere.sock"])));
  }
  await eventually(
    () => daemons.filter((daemon) => daemon.ended).length === starts - 1,
    "all but one have ended",
  );
  const { pid } = await request(home.controlSocket, "status", {});
  for (const daemon of daemons.filter((daemon) => daemon.ended)) {
    const { code, stderr } = await daemon.finished();
    assertEquals(code, 5);
    assertStringIncludes(stderr, `apex: a daemon is already running (pid ${pid}`);
  }
  using _conn = await Deno.connect({ transport: "unix", path: home.eventsSocket });
});

Deno.test("a state directory has only one daemon, whatever its sockets", async () => {
  await using home = await ApexHome.create();
  await using daemon = await home.startDaemon(["--engine", "unix:///nowhere.sock"], { engineIsThere: false });
  await Deno.mkdir(`${home.dir}/other`, { mode: 0o700 });
  const { code, stderr } = await home.apex(["daemon", "--socket", `${home.dir}/other/apex.socket`]);
  assertEquals(code, 5);
  assertStringIncludes(stderr, `pid ${daemon.pid}, socket ${home.controlSocket}`);
});

Deno.test("a client that closes its writing end still receives events, and its input is discarded", async () => {
  await using home = await ApexHome.create();
  await using _daemon = await home.startDaemon();
  using engine = new ContainerDriver(home.engineSocket);
  const conn = await Deno.connect({ transport: "unix", path: home.eventsSocket });
  await conn.write(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
  await conn.closeWrite();
  using reader = EventsReader.over(conn);
  await request(home.controlSocket, "status", {});
  await engine.create({ name: "seen" });
  await reader.until((event) => event.containerName === "seen");
});

Deno.test("the daemon recovers when it runs out of descriptors, and connected subscribers lose no event", async () => {
  await using home = await ApexHome.create();
  const wrap = ["/bin/sh", "-c", 'ulimit -n 96; exec "$0" "$@"'];
  await using daemon = await home.startDaemon(["--engine", "embedded"], { wrap });
  using engine = new ContainerDriver(home.engineSocket);
  using reader = await EventsReader.connect(home.eventsSocket);
  await request(home.controlSocket, "status", {});
  const crowd = await Promise.all(
    Array.from({ length: 150 }, () => Deno.connect({ transport: "unix", path: home.eventsSocket })),
  );
  await eventually(
    () => daemon.stderrSoFar.includes("cannot accept connections for now"),
    "descriptors ran out",
  );
  await engine.create({ name: "amid" });
  await reader.until((event) => event.containerName === "amid");
  for (const conn of crowd) conn.close();
  await engine.create({ name: "after" });
  await reader.until((event) => event.containerName === "after");
  assertEquals((await request(home.controlSocket, "status", {})).pid, daemon.pid);
});

Deno.test("the daemon keeps trying to connect to its engine, and reports its state in status and on the stream", async () => {
  await using home = await ApexHome.create();
  await using _daemon = await home.startDaemon(["--engine", `unix://${home.dir}/late.sock`], {
    engineIsThere: false,
  });
  await eventually(
    async () => (await request(home.controlSocket, "status", {})).engine.state === "disconnected",
    "the first attempt has failed",
  );
  using reader = await EventsReader.connect(home.eventsSocket);
  await request(home.controlSocket, "status", {});
  await using _engine = home.spawn(["engine", "--listen", `${home.dir}/late.sock`]);
  const events = await reader.until((event) => event.type === "engine.connected");
  assertEquals(events.map(({ type, engine }) => [type, engine]), [["engine.connected", "embedded"]]);
});

/** Starts `apex events`, and waits until the daemon has registered it. */
async function startEvents(home: ApexHome): Promise<ApexProcess> {
  const before = (await request(home.controlSocket, "status", {})).subscribers;
  const events = home.spawn(["events"]);
  await eventually(
    async () => (await request(home.controlSocket, "status", {})).subscribers > before,
    "apex events has connected",
  );
  return events;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
