/** Exec on the embedded engine and on Docker: the same requests get the same replies and events. */
import { assert, assertEquals } from "@std/assert";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { TestEngine } from "../../support/engines/embedded_engine.ts";
import { EngineSocketClient, unframed } from "../../support/engines/engine_socket_client.ts";
import { within } from "../../support/within.ts";

const ALL = { AttachStdout: true, AttachStderr: true };
const START = { Detach: false, Tty: false };

/** A container that runs until it is stopped. */
async function runContainer(engine: EngineSocketClient, name: string): Promise<string> {
  const { body: { Id } } = await engine.call("POST", `/containers/create?name=${name}`, {
    Image: "busybox:local",
    Cmd: ["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"],
    Env: ["FROM=container"],
    HostConfig: { NetworkMode: "none" },
  });
  assertEquals((await engine.call("POST", `/containers/${Id}/start`)).status, 204);
  using logs = await engine.open("GET", `/containers/${Id}/logs?stdout=1&follow=1`, { upgrade: false });
  await logs.until("ready");
  return Id;
}

async function createExec(engine: EngineSocketClient, container: string, spec: unknown): Promise<string> {
  const { status, body } = await engine.call("POST", `/containers/${container}/exec`, spec);
  assertEquals(status, 201, JSON.stringify(body));
  return body.Id;
}

/** Runs a command to its end. Returns its output and its inspection. */
async function runExec(engine: EngineSocketClient, container: string, spec: Record<string, unknown>) {
  const id = await createExec(engine, container, { ...ALL, ...spec });
  const { status, type, body } = await engine.call("POST", `/exec/${id}/start`, START);
  assertEquals({ status, type }, { status: 200, type: "application/vnd.docker.raw-stream" });
  const { body: { Running, ExitCode } } = await engine.call("GET", `/exec/${id}/json`);
  return { ...unframed(body), Running, ExitCode };
}

async function execEvents(engine: EngineSocketClient, id: string): Promise<string[]> {
  const until = (Date.now() / 1_000 + 0.01).toFixed(3);
  const filters = encodeURIComponent(JSON.stringify({ container: [id] }));
  const { body } = await engine.call("GET", `/events?since=0&until=${until}&filters=${filters}`);
  return new TextDecoder().decode(body).trim().split("\n").map((line) => {
    const { Action, Actor: { Attributes: { execID, exitCode } } } = JSON.parse(line);
    return [Action, execID && "execID", exitCode && `exitCode=${exitCode}`].filter(Boolean).join(" | ");
  });
}

type Scenario = readonly [
  string,
  (engine: EngineSocketClient, container: string) => Promise<unknown>,
  unknown,
];

/** Scenarios with their results, which are the same on both engines. */
const SCENARIOS: readonly Scenario[] = [
  [
    "stdout, stderr and the exit code are separate",
    (engine, container) =>
      runExec(engine, container, { Cmd: ["sh", "-c", "echo out; echo err >&2; exit 3"] }),
    { stdout: "out\n", stderr: "err\n", Running: false, ExitCode: 3 },
  ],
  [
    "its variables are added to the container's, and it runs in its own directory",
    (engine, container) =>
      runExec(engine, container, {
        Cmd: ["sh", "-c", 'echo "$FROM $OWN"; cd . && echo "$PWD"'],
        Env: ["OWN=exec"],
        WorkingDir: "/tmp",
      }),
    { stdout: "container exec\n/tmp\n", stderr: "", Running: false, ExitCode: 0 },
  ],
  [
    "only the requested streams are attached",
    (engine, container) =>
      runExec(engine, container, { Cmd: ["sh", "-c", "echo out; echo err >&2"], AttachStdout: false }),
    { stdout: "", stderr: "err\n", Running: false, ExitCode: 0 },
  ],
  [
    "the arguments arrive unchanged",
    (engine, container) => runExec(engine, container, { Cmd: ["echo", "a b", "$HOME", "'", "*", ""] }),
    { stdout: "a b $HOME ' * \n", stderr: "", Running: false, ExitCode: 0 },
  ],
  [
    "its input and its end reach the command",
    async (engine, container) => {
      const id = await createExec(engine, container, { Cmd: ["cat"], AttachStdin: true, ...ALL });
      using stream = await engine.open("POST", `/v1.41/exec/${id}/start`, { body: START });
      const { head } = stream;
      await stream.write("one\n");
      const first = (await stream.until("one\n")).slice(8);
      await stream.write("two\n");
      await stream.closeWrite();
      return { head: head.slice(0, 4), first, ...unframed(await stream.rest()) };
    },
    {
      head: [
        "HTTP/1.1 101 UPGRADED",
        "Content-Type: application/vnd.docker.raw-stream",
        "Connection: Upgrade",
        "Upgrade: tcp",
      ],
      first: "one\n",
      stdout: "two\n",
      stderr: "",
    },
  ],
  [
    "an exec that was started cannot be started again",
    async (engine, container) => {
      const id = await createExec(engine, container, { Cmd: ["true"], ...ALL });
      await engine.call("POST", `/exec/${id}/start`, START);
      const { status, body } = await engine.call("POST", `/exec/${id}/start`, START);
      return { status, output: unframed(body).stdout.replace(id, "ID") };
    },
    { status: 200, output: "Error: Exec command ID has already run\r\n" },
  ],
  [
    "a detached exec keeps running, and cannot be started again",
    async (engine, container) => {
      const id = await createExec(engine, container, { Cmd: ["sleep", "60"] });
      const started = await engine.call("POST", `/exec/${id}/start`, { Detach: true });
      const again = await engine.call("POST", `/exec/${id}/start`, { Detach: true });
      const { body: { Running, ExitCode, Pid, ContainerID } } = await engine.call("GET", `/exec/${id}/json`);
      const { body: { ExecIDs } } = await engine.call("GET", `/containers/${container}/json`);
      return {
        started: started.status,
        again: [again.status, again.body.message.replace(id, "ID")],
        inspected: { Running, ExitCode, hasPid: Pid > 0, isOfContainer: ContainerID === container },
        isListed: ExecIDs.includes(id),
      };
    },
    {
      started: 200,
      again: [409, "Error: Exec command ID is already running"],
      inspected: { Running: true, ExitCode: null, hasPid: true, isOfContainer: true },
      isListed: true,
    },
  ],
  [
    "a command that cannot be run is reported in the stream, and to a detached client",
    async (engine, container) => {
      const id = await createExec(engine, container, { Cmd: ["nosuch"], ...ALL });
      const { body } = await engine.call("POST", `/exec/${id}/start`, START);
      const detached = await createExec(engine, container, { Cmd: ["nosuch"] });
      const { status, body: { message } } = await engine.call("POST", `/exec/${detached}/start`, {
        Detach: true,
      });
      return { output: unframed(body).stdout, status, message };
    },
    {
      output: 'OCI runtime exec failed: exec failed: unable to start container process: exec: "nosuch": ' +
        "executable file not found in $PATH: unknown\r\n",
      status: 400,
      message: 'OCI runtime exec failed: exec failed: unable to start container process: exec: "nosuch": ' +
        "executable file not found in $PATH: unknown",
    },
  ],
  [
    "refusals",
    async (engine, container) => {
      const refusals: unknown[] = [];
      const refused = async (method: string, path: string, body?: unknown) => {
        const { status, body: { message } } = await engine.call(method, path, body);
        refusals.push([status, message.replace(container, "ID")]);
      };
      const id = await createExec(engine, container, { Cmd: ["true"] });
      await refused("POST", `/containers/${container}/exec`, {});
      await refused("POST", `/containers/${container}/exec`, { Cmd: [] });
      await refused("POST", `/containers/nope/exec`, { Cmd: ["true"] });
      await refused("POST", `/exec/nope/start`, START);
      await refused("GET", `/exec/nope/json`);
      await engine.call("POST", `/containers/${container}/pause`);
      await refused("POST", `/containers/both/exec`, { Cmd: ["true"] });
      await refused("POST", `/exec/${id}/start`, { Detach: true });
      await engine.call("POST", `/containers/${container}/unpause`);
      return refusals;
    },
    [
      [400, "No exec command specified"],
      [400, "No exec command specified"],
      [404, "No such container: nope"],
      [404, "No such exec instance: nope"],
      [404, "No such exec instance: nope"],
      [409, "Container both is paused, unpause the container before exec"],
      [409, "Container ID is paused, unpause the container before exec"],
    ],
  ],
  [
    "the container's end ends its execs; one that never started no longer exists, one that ran does",
    async (engine, container) => {
      const running = await createExec(engine, container, { Cmd: ["sleep", "60"] });
      const idle = await createExec(engine, container, { Cmd: ["true"] });
      await engine.call("POST", `/exec/${running}/start`, { Detach: true });
      assertEquals((await engine.call("POST", `/containers/${container}/stop`)).status, 204);
      const { body: { Running, ExitCode } } = await engine.call("GET", `/exec/${running}/json`);
      const start = await engine.call("POST", `/exec/${idle}/start`, { Detach: true });
      const create = await engine.call("POST", `/containers/${container}/exec`, { Cmd: ["true"] });
      return {
        Running,
        ExitCode,
        start: [start.status, start.body.message.replace(idle, "EXEC")],
        create: [create.status, create.body.message.replace(container, "ID")],
        events: await execEvents(engine, container),
      };
    },
    {
      Running: false,
      ExitCode: 137,
      start: [404, "No such exec instance: EXEC"],
      create: [409, "Container ID is not running"],
      events: [
        "create",
        "start",
        "exec_create: sleep 60 | execID",
        "exec_create: true  | execID",
        "exec_start: sleep 60 | execID",
        "kill",
        "exec_die | execID | exitCode=137",
        "die | exitCode=0",
        "stop",
      ],
    },
  ],
];

async function playAll(t: Deno.TestContext, socketPath: string): Promise<void> {
  using engine = new EngineSocketClient(socketPath);
  for (const [what, play, expected] of SCENARIOS) {
    await t.step(what, async () => {
      const container = await runContainer(engine, "both");
      try {
        assertEquals(await within(30_000, what, play(engine, container)), expected);
      } finally {
        await engine.call("DELETE", `/containers/${container}?force=1&v=1`);
      }
    });
  }
}

Deno.test("exec on the embedded engine", async (t) => {
  await using engine = await TestEngine.start();
  await playAll(t, engine.socketPath);
});

Deno.test({
  name: "exec on Docker passes the same scenarios",
  ignore: !(await dockerAvailable()),
  async fn(t) {
    await using engine = await startDocker();
    await playAll(t, engine.socketPath);
  },
});

Deno.test("an exec that cannot be run has no exec_die, and 127 or 126", async () => {
  await using engine = await TestEngine.start();
  using client = new EngineSocketClient(engine.socketPath);
  const container = await runContainer(client, "bad");
  for (const [program, exitCode] of [["nosuch", 127], [engine.dir, 126]] as const) {
    assertEquals((await runExec(client, container, { Cmd: [program] })).ExitCode, exitCode);
  }
  assertEquals((await execEvents(client, container)).filter((event) => event.startsWith("exec_die")), []);
});

Deno.test("a client that reads late gets all output of an exec, and its end is published at once", async () => {
  await using engine = await TestEngine.start();
  using client = new EngineSocketClient(engine.socketPath);
  const container = await runContainer(client, "slow");
  const script = 'i=0; while [ $i -lt 40 ]; do printf "%05000d" $i; i=$((i+1)); done; echo end';
  const id = await createExec(client, container, { Cmd: ["sh", "-c", script], ...ALL });
  using stream = await client.open("POST", `/exec/${id}/start`, { body: START });
  // It has ended although its output was not read: 200 KB are more than the socket buffers.
  await within(10_000, "exec_die", engine.until(({ Action }) => Action === "exec_die"));
  const { stdout } = unframed(await stream.rest());
  assertEquals(stdout.length, 40 * 5_000 + "end\n".length);
  assert(stdout.endsWith("0039end\n"));
});

Deno.test("an exec whose client does not read is slowed down, and ends with its container", async () => {
  await using engine = await TestEngine.start();
  using client = new EngineSocketClient(engine.socketPath);
  const container = await runContainer(client, "stalled");
  const script = `while :; do printf "%05000d" 0; echo >>"${engine.dir}/written"; done`;
  const id = await createExec(client, container, { Cmd: ["sh", "-c", script], ...ALL });
  using stream = await client.open("POST", `/exec/${id}/start`, { body: START });
  await stream.until("0000");
  // Long enough for thousands of writes.
  for (let round = 0; round < 20; round++) await runExec(client, container, { Cmd: ["true"] });
  assertEquals((await client.call("POST", `/containers/${container}/kill`)).status, 204);
  assertEquals((await client.call("GET", `/exec/${id}/json`)).body.ExitCode, 137);
  const { size: writes } = await Deno.stat(`${engine.dir}/written`);
  assert(writes < 200, `it wrote ${writes * 5_000} bytes, although they were not read`);
});

Deno.test("a client that disconnects does not end its exec", async () => {
  await using engine = await TestEngine.start();
  using client = new EngineSocketClient(engine.socketPath);
  const container = await runContainer(client, "left");
  const id = await createExec(client, container, {
    Cmd: ["sh", "-c", `echo ready; read -r line <"${engine.dir}/fifo"; exit 4`],
    ...ALL,
  });
  await new Deno.Command("mkfifo", { args: [`${engine.dir}/fifo`] }).output();
  const stream = await client.open("POST", `/exec/${id}/start`, { body: START });
  await stream.until("ready");
  stream[Symbol.dispose]();
  await Deno.writeTextFile(`${engine.dir}/fifo`, "go\n"); // Returns only if a process reads.
  const died = await within(10_000, "exec_die", engine.until(({ Action }) => Action === "exec_die"));
  assertEquals(died.Actor.Attributes["exitCode"], "4");
});
