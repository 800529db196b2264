/** Attach on the embedded engine and on Docker: the same requests get the same replies, bytes and ends. */
import { assertEquals } from "@std/assert";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { TestEngine } from "../../support/engines/embedded_engine.ts";
import { EngineSocketClient, type OpenStream, unframed } from "../../support/engines/engine_socket_client.ts";
import { within } from "../../support/within.ts";

const EVERYTHING = "stream=1&stdin=1&stdout=1&stderr=1";

async function create(engine: EngineSocketClient, script: string, config: Record<string, unknown> = {}) {
  const { status, body } = await engine.call("POST", "/containers/create?name=both", {
    Image: "busybox:local",
    Cmd: ["sh", "-c", script],
    HostConfig: { NetworkMode: "none" },
    ...config,
  });
  assertEquals(status, 201, JSON.stringify(body));
}

async function start(engine: EngineSocketClient): Promise<void> {
  assertEquals((await engine.call("POST", "/containers/both/start")).status, 204);
}

async function attach(
  engine: EngineSocketClient,
  query: string,
  options: { upgrade?: boolean } = {},
): Promise<OpenStream> {
  return await engine.open("POST", `/v1.41/containers/both/attach?${query}`, options);
}

/** The text in the frames of stdout, up to the one that ends with `expected`. */
async function text(stream: OpenStream, expected: string): Promise<string> {
  return unframed(Uint8Array.from(await stream.until(expected), (byte) => byte.charCodeAt(0))).stdout;
}

async function exitCode(engine: EngineSocketClient): Promise<number> {
  return (await engine.call("POST", "/containers/both/wait")).body.StatusCode;
}

async function isRunning(engine: EngineSocketClient): Promise<boolean> {
  return (await engine.call("GET", "/containers/both/json")).body.State.Running;
}

/** The events of the newest container with that name. */
async function actions(engine: EngineSocketClient): Promise<string[]> {
  const until = (Date.now() / 1_000 + 0.01).toFixed(3);
  const filters = encodeURIComponent(JSON.stringify({ container: ["both"] }));
  const { body } = await engine.call("GET", `/events?since=0&until=${until}&filters=${filters}`);
  const all = new TextDecoder().decode(body).trim().split("\n").map((line) => JSON.parse(line).Action);
  return all.slice(all.lastIndexOf("create"));
}

type Scenario = readonly [string, (engine: EngineSocketClient) => Promise<unknown>, unknown];

const SCENARIOS: readonly Scenario[] = [
  [
    "a client attached before the start gets all output and gives all input; the end of its input is the process's",
    async (engine) => {
      await create(engine, "cat; echo done", { OpenStdin: true, StdinOnce: true });
      using stream = await attach(engine, EVERYTHING);
      await stream.write("early\n");
      await start(engine);
      await stream.until("early\n");
      await stream.write("late\n");
      await stream.closeWrite();
      const rest = unframed(await stream.rest());
      return { head: stream.head, rest, exitCode: await exitCode(engine) };
    },
    {
      head: [
        "HTTP/1.1 101 UPGRADED",
        "Content-Type: application/vnd.docker.raw-stream",
        "Connection: Upgrade",
        "Upgrade: tcp",
      ],
      rest: { stdout: "late\ndone\n", stderr: "" },
      exitCode: 0,
    },
  ],
  [
    "stdout and stderr are sent apart, and only if requested",
    async (engine) => {
      await create(engine, "echo out; echo err >&2");
      using both = await attach(engine, "stream=1&stdout=1&stderr=1");
      using errors = await attach(engine, "stream=1&stderr=1", { upgrade: false });
      using nothing = await attach(engine, "");
      await start(engine);
      return {
        both: unframed(await both.rest()),
        errors: unframed(await errors.rest()),
        nothing: unframed(await nothing.rest()),
        head: errors.head.slice(0, 2),
      };
    },
    {
      both: { stdout: "out\n", stderr: "err\n" },
      errors: { stdout: "", stderr: "err\n" },
      nothing: { stdout: "", stderr: "" },
      head: ["HTTP/1.1 200 OK", "Content-Type: application/vnd.docker.raw-stream"],
    },
  ],
  [
    "without StdinOnce, the end of a client's input detaches the client, and the process keeps running",
    async (engine) => {
      await create(engine, "cat", { OpenStdin: true });
      await start(engine);
      using first = await attach(engine, EVERYTHING);
      using second = await attach(engine, EVERYTHING);
      await first.write("one\n");
      const seen = [await text(first, "one\n"), await text(second, "one\n")];
      await first.closeWrite();
      seen.push(unframed(await first.rest()).stdout);
      await second.write("two\n");
      seen.push(await text(second, "two\n"));
      return { seen, running: await isRunning(engine) };
    },
    { seen: ["one\n", "one\n", "", "two\n"], running: true },
  ],
  [
    "a client without stdin may end its own side",
    async (engine) => {
      await create(engine, "cat", { OpenStdin: true });
      await start(engine);
      using listener = await attach(engine, "stream=1&stdout=1");
      await listener.closeWrite();
      using writer = await attach(engine, EVERYTHING);
      await writer.write("heard\n");
      return await text(listener, "heard\n");
    },
    "heard\n",
  ],
  [
    "logs=1 sends earlier output first, and nothing else without stream=1",
    async (engine) => {
      await create(engine, "echo before; cat", { OpenStdin: true });
      await start(engine);
      using writer = await attach(engine, `${EVERYTHING}&logs=1`);
      const first = await text(writer, "before\n");
      await writer.write("x\n");
      await text(writer, "x\n");
      // Docker sends output to a client before it is in the log.
      for (let logged = ""; !logged.includes("x\n");) {
        logged = unframed((await engine.call("GET", "/containers/both/logs?stdout=1")).body).stdout;
      }
      using past = await attach(engine, "logs=1&stdout=1");
      return { first, past: unframed(await past.rest()).stdout };
    },
    { first: "before\n", past: "before\nx\n" },
  ],
  [
    "typed input is echoed to all clients of a terminal, and its log has no frames",
    async (engine) => {
      await create(engine, "echo hi; read x; echo got $x; read y; exit 5", { Tty: true, OpenStdin: true });
      using first = await attach(engine, EVERYTHING);
      await start(engine);
      const seen = [await first.until("hi\r\n")];
      using second = await attach(engine, EVERYTHING);
      await first.write("abc\n");
      seen.push(await first.until("got abc\r\n"), await second.until("got abc\r\n"));
      await second.write("\n");
      await Promise.all([first.rest(), second.rest()]);
      const logs = await engine.call("GET", "/containers/both/logs?stdout=1&stderr=1");
      const { body: { Config: { Tty, OpenStdin, StdinOnce } } } = await engine.call(
        "GET",
        "/containers/both/json",
      );
      return {
        seen,
        logs: new TextDecoder().decode(logs.body),
        exitCode: await exitCode(engine),
        config: { Tty, OpenStdin, StdinOnce },
        actions: await actions(engine),
      };
    },
    {
      seen: ["hi\r\n", "abc\r\ngot abc\r\n", "abc\r\ngot abc\r\n"],
      logs: "hi\r\nabc\r\ngot abc\r\n\r\n",
      exitCode: 5,
      config: { Tty: true, OpenStdin: true, StdinOnce: false },
      actions: ["create", "attach", "start", "attach", "die"],
    },
  ],
  [
    "at a terminal a client detaches by its end or by its keys, and the program keeps running",
    async (engine) => {
      await create(engine, "echo hi; cat", { Tty: true, OpenStdin: true });
      await start(engine);
      using byEnd = await attach(engine, `${EVERYTHING}&logs=1`);
      await byEnd.until("hi\r\n");
      await byEnd.closeWrite();
      await byEnd.rest();
      using byKeys = await attach(engine, EVERYTHING);
      await byKeys.write("\x10");
      await byKeys.write("\x11");
      await byKeys.rest();
      using byOwnKeys = await attach(engine, `${EVERYTHING}&detachKeys=ctrl-x,q`);
      await byOwnKeys.write("\x18");
      await byOwnKeys.write("q");
      await byOwnKeys.rest();
      using stays = await attach(engine, `${EVERYTHING}&detachKeys=ctrl-x,q`);
      await stays.write("\x18");
      await stays.write("z\n");
      return {
        echo: await stays.until("z\r\n"),
        running: await isRunning(engine),
        actions: (await actions(engine)).slice(2),
      };
    },
    {
      echo: "^Xz\r\n",
      running: true,
      actions: ["attach", "attach", "detach", "attach", "detach", "attach"],
    },
  ],
  [
    "keys typed at a terminal send signals",
    async (engine) => {
      await create(engine, "trap 'echo int; exit 7' INT; echo ready; while :; do sleep 0.1; done", {
        Tty: true,
        OpenStdin: true,
      });
      using stream = await attach(engine, EVERYTHING);
      await start(engine);
      await stream.until("ready\r\n");
      await stream.write("\x03");
      await stream.until("int\r\n");
      await stream.rest();
      return await exitCode(engine);
    },
    7,
  ],
  [
    "a program at a terminal has its size, and gets SIGWINCH for a new one",
    async (engine) => {
      await create(
        engine,
        `trap 'busybox stty size' WINCH; echo ready; while :; do sleep 0.1; done`,
        { Tty: true },
      );
      using stream = await attach(engine, "stream=1&stdout=1");
      await start(engine);
      await stream.until("ready\r\n");
      const statuses: number[] = [];
      for (const size of ["h=10&w=20", "h=30&w=100"]) {
        statuses.push((await engine.call("POST", `/containers/both/resize?${size}`)).status);
        await stream.until(size === "h=10&w=20" ? "10 20\r\n" : "30 100\r\n");
      }
      return { statuses, actions: (await actions(engine)).slice(3) };
    },
    { statuses: [200, 200], actions: ["resize", "resize"] },
  ],
  [
    "an exit by a signal ends the clients, and has its exit code, at a terminal too",
    async (engine) => {
      const codes: number[] = [];
      for (const Tty of [false, true]) {
        for (const end of ["kill", "kill?signal=TERM", "stop"]) {
          await create(engine, "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done", { Tty });
          using stream = await attach(engine, "stream=1&stdout=1");
          await start(engine);
          await stream.until("ready");
          await engine.call("POST", `/containers/both/${end}`);
          await stream.rest();
          codes.push(await exitCode(engine));
          await engine.call("DELETE", "/containers/both?force=1");
        }
      }
      return codes;
    },
    [137, 9, 9, 137, 9, 9],
  ],
  [
    "refusals are sent as plain text",
    async (engine) => {
      await create(engine, "sleep 60");
      await start(engine);
      const refusals: unknown[] = [];
      const refused = async (path: string) => {
        const { status, type, body } = await engine.call("POST", path);
        refusals.push([status, type, new TextDecoder().decode(body)]);
      };
      await refused("/containers/nope/attach?stream=1");
      await refused("/containers/both/attach?stream=1&detachKeys=bogus");
      await engine.call("POST", "/containers/both/pause");
      await refused("/containers/both/attach?stream=1&stdout=1");
      await engine.call("POST", "/containers/both/unpause");
      return refusals;
    },
    [
      [404, "application/vnd.docker.raw-stream", "No such container: nope\r\n"],
      [400, "application/vnd.docker.raw-stream", "Invalid detach keys (bogus) provided\r\n"],
      [
        409,
        "application/vnd.docker.raw-stream",
        "container both is paused, unpause the container before attach\r\n",
      ],
    ],
  ],
  [
    "an exec at a terminal echoes, has no frames, has its size, and its exit code",
    async (engine) => {
      await create(engine, "sleep 60");
      await start(engine);
      const { body: { Id } } = await engine.call("POST", "/containers/both/exec", {
        Cmd: ["sh", "-c", "echo ready; read x; busybox stty size; echo $TERM; exit 6"],
        Tty: true,
        AttachStdin: true,
        AttachStdout: true,
        AttachStderr: true,
      });
      using stream = await engine.open("POST", `/exec/${Id}/start`, { body: { Detach: false, Tty: true } });
      await stream.until("ready\r\n");
      const resized = await engine.call("POST", `/exec/${Id}/resize?h=12&w=34`);
      await stream.write("x\n");
      const rest = new TextDecoder().decode(await stream.rest());
      const { body: { ExitCode } } = await engine.call("GET", `/exec/${Id}/json`);
      return { resized: resized.status, rest, ExitCode };
    },
    { resized: 200, rest: "x\r\n12 34\r\nxterm\r\n", ExitCode: 6 },
  ],
];

async function playAll(t: Deno.TestContext, socketPath: string): Promise<void> {
  using engine = new EngineSocketClient(socketPath);
  for (const [what, play, expected] of SCENARIOS) {
    await t.step(what, async () => {
      try {
        assertEquals(await within(30_000, what, play(engine)), expected);
      } finally {
        await engine.call("DELETE", "/containers/both?force=1&v=1");
      }
    });
  }
}

Deno.test("attach on the embedded engine", async (t) => {
  await using engine = await TestEngine.start();
  await playAll(t, engine.socketPath);
});

Deno.test({
  name: "attach on Docker passes the same scenarios",
  ignore: !(await dockerAvailable()),
  async fn(t) {
    await using engine = await startDocker();
    await playAll(t, engine.socketPath);
  },
});
