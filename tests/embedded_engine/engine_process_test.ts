import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { startEmbeddedEngine } from "../../src/embedded_engine/embedded_engine.ts";
import { processStat } from "../../src/embedded_engine/processes/proc_files.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { APEX_COMMAND } from "../support/daemons/apex_process.ts";
import { isInstalled } from "../support/daemons/own_daemon.ts";
import { engineProcess, TestEngine } from "../support/engines/embedded_engine.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TempDir } from "../support/temp_dir.ts";

Deno.test("the engine's directory and socket are private", async () => {
  await using engine = await TestEngine.start();
  assertEquals((await Deno.stat(`${engine.dir}/e`)).mode! & 0o777, 0o700);
  assertEquals((await Deno.stat(engine.socketPath)).mode! & 0o777, 0o600);
});

Deno.test("the engine keeps its id over restarts, and replaces a stale socket", async () => {
  await using temp = await TempDir.make();
  const socketPath = temp.join("e.sock");
  const ids: unknown[] = [];
  for (let round = 0; round < 2; round++) {
    const child = engineProcess(temp.path);
    const client = Deno.createHttpClient({ proxy: { transport: "unix", path: socketPath } });
    ids.push((await eventuallyFetch("http://localhost/info", client)).ID);
    client.close();
    child.kill("SIGKILL"); // The socket file stays.
    await child.status;
    assert((await Deno.lstat(socketPath)).isSocket);
  }
  assertEquals(ids[0], ids[1]);
});

Deno.test("a new engine kills the processes that a killed one left running", async () => {
  await using temp = await TempDir.make();
  const child = engineProcess(temp.path);
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: temp.join("e.sock") } });
  await eventuallyFetch("http://localhost/info", client);
  const body = JSON.stringify({ Image: "busybox", Cmd: ["sleep", "60"] });
  const { Id } = await (await fetch("http://localhost/containers/create", {
    method: "POST",
    body,
    client,
    headers: { "Content-Type": "application/json" },
  })).json();
  await (await fetch(`http://localhost/containers/${Id}/start`, { method: "POST", client })).body?.cancel();
  const { State: { Pid } } = await (await fetch(`http://localhost/containers/${Id}/json`, { client })).json();
  client.close();
  child.kill("SIGKILL");
  await child.status;
  assert(await isAlive(Pid));
  await using _next = await startEmbeddedEngine({ dir: temp.join("e"), socketPath: temp.join("e.sock") });
  while (await isAlive(Pid)); // SIGKILL was sent; its new parent reaps it.
});

Deno.test("a new engine kills the execs and the jobs of a terminal that a killed one left running", async () => {
  await using temp = await TempDir.make();
  const child = engineProcess(temp.path);
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: temp.join("e.sock") } });
  await eventuallyFetch("http://localhost/info", client);
  const post = async (path: string, body: unknown): Promise<{ Id: string }> => {
    const response = await fetch(`http://localhost${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      client,
      headers: { "Content-Type": "application/json" },
    });
    const text = await response.text();
    return JSON.parse(text === "" ? "{}" : text);
  };
  const script = "set -m; trap '' HUP; nohup sleep 60 >/dev/null & echo $! >job; wait";
  const { Id } = await post("/containers/create", {
    Image: "busybox",
    Tty: true,
    Cmd: ["bash", "-c", script],
  });
  await post(`/containers/${Id}/start`, {});
  const exec = await post(`/containers/${Id}/exec`, { Cmd: ["sleep", "60"] });
  await post(`/exec/${exec.Id}/start`, { Detach: true });
  const { Pid } = await (await fetch(`http://localhost/exec/${exec.Id}/json`, { client })).json();
  const home = temp.join(`e/containers/${Id}`);
  const job = async () => Number(await Deno.readTextFile(`${home}/home/job`).catch(() => ""));
  while (await job() === 0); // Until the shell has started.
  while (await countOf(home, "process") < 2); // Until the engine has written both files.
  const pids = [Pid, await job()];
  client.close();
  child.kill("SIGKILL");
  await child.status;
  await using _next = await startEmbeddedEngine({ dir: temp.join("e"), socketPath: temp.join("e.sock") });
  for (const pid of pids) while (await isAlive(pid));
});

Deno.test("the engine manages its processes with the permissions of the compiled program", async () => {
  await using temp = await TempDir.make();
  const socketPath = temp.join("e.sock");
  const permissions = (await Deno.readTextFile(new URL("../../scripts/compile.ts", import.meta.url)))
    .matchAll(/"(--allow-[a-z]+)"/g).map(([, permission]) => permission!);
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      ...permissions,
      main,
      "engine",
      "--dir",
      temp.join("e"),
      "--listen",
      socketPath,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const errorText = new Response(child.stderr).text();
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: socketPath } });
  await eventuallyFetch("http://localhost/info", client);
  const call = async (method: string, path: string, body?: unknown) => {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(`http://localhost${path}`, {
      method,
      client,
      ...body !== undefined && { body: JSON.stringify(body), headers },
    });
    const text = await response.text();
    return text === "" ? undefined : JSON.parse(text);
  };
  const script = "set -m; trap '' HUP; sleep 60 & echo $! >job; kill -STOP $$; exit 3";
  const { Id } = await call("POST", "/containers/create", {
    Image: "busybox",
    Tty: true,
    Cmd: ["bash", "-c", script],
  });
  await call("POST", `/containers/${Id}/start`);
  const { State: { Pid } } = await call("GET", `/containers/${Id}/json`);
  while ((await processStat(Pid))?.state !== "T");
  const { pids_stats: { current }, memory_stats: { usage } } = await call(
    "GET",
    `/containers/${Id}/stats?stream=false&one-shot=1`,
  );
  assertEquals(current, 2);
  assert(usage > 100_000);
  const job = Number(await Deno.readTextFile(temp.join(`e/containers/${Id}/home/job`)));
  await call("POST", `/containers/${Id}/kill?signal=CONT`);
  assertEquals((await call("POST", `/containers/${Id}/wait`)).StatusCode, 3);
  while (await isAlive(job));
  client.close();
  child.kill("SIGTERM");
  await child.status;
  assert(!/requires|lost output|cannot/i.test(await errorText), await errorText);
});

Deno.test("a second engine in the same directory exits with status 5, even with another socket", async () => {
  await using engine = await TestEngine.start();
  for (const socketPath of [engine.socketPath, `${engine.dir}/other.sock`]) {
    // In a separate process, because a wait for the lock remains.
    const [program = "", ...args] = APEX_COMMAND;
    const { code, stderr } = await new Deno.Command(program, {
      args: [...args, "engine", "--dir", `${engine.dir}/e`, "--listen", socketPath],
    }).output();
    const message = `apex: an embedded engine (pid ${Deno.pid}) already runs at ${engine.socketPath}; ` +
      `end it (kill ${Deno.pid}), or choose another directory and socket with --dir and --listen\n`;
    assertEquals([code, new TextDecoder().decode(stderr)], [5, message]);
  }
});

Deno.test("an engine does not replace the socket of another directory's engine, and names that engine", async () => {
  await using engine = await TestEngine.start();
  const { socketPath } = engine;
  const error = await assertRejects(
    () => startEmbeddedEngine({ dir: `${engine.dir}/second`, socketPath }),
    ApexError,
    `cannot listen on ${socketPath}: the embedded engine of ${engine.dir}/e (pid ${Deno.pid}) already listens there; ` +
      `end it (kill ${Deno.pid}), or choose another socket with --listen`,
  );
  assertEquals(error.code, "busy");
  assertEquals((await engine.call("GET", "/_ping")).body, "OK");
});

Deno.test("an engine does not replace the socket of another program", async () => {
  await using temp = await TempDir.make();
  const socketPath = temp.join("e.sock");
  using listener = Deno.listen({ transport: "unix", path: socketPath });
  const closing = (async () => {
    for await (const connection of listener) connection.close();
  })();
  await assertRejects(
    () => startEmbeddedEngine({ dir: temp.join("e"), socketPath }),
    ApexError,
    "another program already listens there; end it, or choose another socket with --listen",
  );
  listener.close();
  await closing;
});

/** Each is refused as the engine's directory and as its socket's. */
const OPEN_DIRECTORIES: readonly (readonly [string, (dir: string) => Promise<void>, RegExp])[] = [
  [
    "one that others can write to",
    (dir) => Deno.mkdir(dir).then(() => Deno.chmod(dir, 0o777)),
    /open to other users/,
  ],
  ["one that others can read", (dir) => Deno.mkdir(dir).then(() => Deno.chmod(dir, 0o755)), /run: chmod 700/],
  [
    "a symbolic link",
    (dir) => Deno.mkdir(`${dir}-real`).then(() => Deno.symlink(`${dir}-real`, dir)),
    /symbolic link/,
  ],
  ["a file", (dir) => Deno.writeTextFile(dir, ""), /not a directory/],
];

for (const [what, make, message] of OPEN_DIRECTORIES) {
  Deno.test(`startEmbeddedEngine() refuses ${what}, as its directory and as its socket's`, async () => {
    await using temp = await TempDir.make();
    const [open, own] = [temp.join("open"), temp.join("own")];
    await make(open);
    for (const options of [{ dir: open, socketPath: `${own}/s` }, { dir: own, socketPath: `${open}/s` }]) {
      const error = await assertRejects(() => startEmbeddedEngine(options), ApexError, "refusing to use");
      assertMatch(error.message, message);
    }
  });
}

Deno.test("startEmbeddedEngine() accepts a chosen socket directory that other users can read", async () => {
  await using temp = await TempDir.make();
  await Deno.chmod(temp.path, 0o755);
  const options = { dir: temp.join("e"), socketPath: temp.join("e.sock") };
  await using _engine = await startEmbeddedEngine({ ...options, socketDirIsChosen: true });
});

Deno.test("the engine closes after the idle time without containers and requests", async () => {
  const clock = new FakeClock();
  await using engine = await TestEngine.start({ clock, idleExitMs: 60_000 });
  const id = await engine.create("true");
  clock.advance(120_000);
  await engine.call("DELETE", `/containers/${id}`);
  clock.advance(59_999);
  assertEquals((await engine.call("GET", "/_ping")).body, "OK");
  clock.advance(60_000);
  await engine.closed;
  await assertRejects(() => Deno.lstat(engine.socketPath), Deno.errors.NotFound);
});

Deno.test("closing the engine kills its containers and ends event streams", async () => {
  const engine = await TestEngine.start();
  const id = await engine.run("trap '' TERM; sleep 60");
  const { State } = await engine.inspect(id);
  const actions: string[] = [];
  const follower = engine.follow();
  actions.push((await follower.next()).value!.Action);
  const rest = (async () => {
    for await (const { Action } of follower) actions.push(Action);
  })();
  await engine[Symbol.asyncDispose]();
  await rest;
  assertEquals(actions, ["create", "start", "die"]);
  assertEquals(await isAlive(State["Pid"] as number), false);
});

Deno.test("startEmbeddedEngine() refuses a socket path that is too long", async () => {
  await assertRejects(
    () => startEmbeddedEngine({ dir: "/tmp/apx-none", socketPath: `/tmp/${"x".repeat(120)}` }),
    ApexError,
    "too long",
  );
});

Deno.test({
  name: "the docker command works with the embedded engine",
  ignore: !(await isInstalled("docker")),
  async fn(t) {
    await using engine = await TestEngine.start();
    const docker = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await new Deno.Command("docker", {
        args: ["-H", `unix://${engine.socketPath}`, ...args],
        env: { DOCKER_CONFIG: engine.dir },
      }).output();
      const text = new TextDecoder().decode(stdout).trim();
      return code === 0 ? text : `status ${code}: ${new TextDecoder().decode(stderr).trim()}`;
    };
    const script = "trap 'exit 0' TERM; echo out; while :; do sleep 0.05; done";
    await t.step("run -d", async () => {
      assertEquals(
        (await docker("run", "-d", "--name", "web", "-l", "k=v", "busybox", "sh", "-c", script)).length,
        64,
      );
    });
    await t.step(
      "ps",
      async () =>
        assertEquals(
          await docker("ps", "--filter", "label=k", "--format", "{{.Names}} {{.State}}"),
          "web running",
        ),
    );
    await t.step("rename, inspect", async () => {
      assertEquals(await docker("rename", "web", "api"), "");
      assertEquals(
        await docker("inspect", "-f", "{{.Name}} {{.State.Status}} {{.Config.Labels.k}}", "api"),
        "/api running v",
      );
    });
    await t.step("logs", async () => {
      while ((await engine.logs("api")).stdout === ""); // It runs, but has not printed yet.
      assertEquals(await docker("logs", "api"), "out");
    });
    await t.step("stop, wait", async () => {
      assertEquals(await docker("stop", "api"), "api");
      assertEquals(await docker("wait", "api"), "0");
    });
    await t.step("start, kill, rm", async () => {
      for (const verb of ["start", "kill", "rm"]) assertEquals(await docker(verb, "api"), "api");
    });
    await t.step("events", async () => {
      const until = String(Date.now() / 1_000 + 0.01);
      const events = await docker("events", "--since", "0", "--until", until, "--format", "{{.Action}}");
      assertEquals(events.split("\n"), [
        "create",
        "start",
        "rename",
        "kill",
        "die",
        "stop",
        "start",
        "kill",
        "die",
        "destroy",
      ]);
    });
    await t.step("create with an unknown program, start", async () => {
      await docker("create", "--name", "bad", "busybox", "nosuchcmd");
      assert(
        (await docker("start", "bad")).includes(`exec: "nosuchcmd": executable file not found in $PATH`),
      );
    });
  },
});

// deno-lint-ignore no-explicit-any -- JSON of the engine under test
async function eventuallyFetch(url: string, client: Deno.HttpClient): Promise<any> {
  for (;;) {
    try {
      return await (await fetch(url, { client })).json();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // The engine does not listen yet.
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

async function countOf(dir: string, prefix: string): Promise<number> {
  const names = await Array.fromAsync(Deno.readDir(dir), ({ name }) => name);
  return names.filter((name) => name.startsWith(prefix)).length;
}

async function isAlive(pid: number): Promise<boolean> {
  try {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    return stat[stat.lastIndexOf(")") + 2] !== "Z";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
