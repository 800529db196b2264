/** Attached clients and terminals: the guarantees that only the embedded engine gives, and its use of `script`. */
import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { processStat } from "../../../src/embedded_engine/processes/proc_files.ts";
import { isInstalled } from "../../support/daemons/own_daemon.ts";
import { TestEngine } from "../../support/engines/embedded_engine.ts";
import { EngineSocketClient, type OpenStream, unframed } from "../../support/engines/engine_socket_client.ts";
import { within } from "../../support/within.ts";

const TERMINAL = { Tty: true, OpenStdin: true };

async function attach(
  engine: TestEngine,
  id: string,
  query = "stream=1&stdin=1&stdout=1&stderr=1",
): Promise<OpenStream> {
  using client = new EngineSocketClient(engine.socketPath);
  return await client.open("POST", `/containers/${id}/attach?${query}`);
}

/** Runs a script at a terminal, with a client that was attached before the start. */
async function runAttached(
  engine: TestEngine,
  script: string,
  config: Record<string, unknown> = {},
): Promise<{ id: string; stream: OpenStream }> {
  const id = await engine.create(script, { config: { ...TERMINAL, ...config } });
  const stream = await attach(engine, id);
  assertEquals((await engine.call("POST", `/containers/${id}/start`)).status, 204);
  return { id, stream };
}

/** `gone`, or the letter of the state in ps. */
async function stateOf(pid: number): Promise<string> {
  return (await processStat(pid))?.state ?? "gone";
}

/** Ids of the processes with that directory in their environment, as each process of a container has it. */
async function processesOf(dir: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if ((await Deno.readTextFile(`/proc/${name}/environ`)).includes(`HOME=${dir}/`)) found.push(name);
    } catch (error) {
      if (!(error instanceof Error)) throw error; // It has exited in between: NotFound, or ESRCH.
    }
  }
  return found;
}

/** Polls without a delay, for ten seconds at most. */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  let isOver = false;
  const asking = (async () => {
    while (!isOver && !(await isSo()));
  })();
  await within(10_000, what, asking).finally(() => isOver = true);
}

Deno.test("60 terminals at once each have their own output and exit code", async () => {
  await using engine = await TestEngine.start();
  await Promise.all(Array.from({ length: 60 }, async (_, index) => {
    const { id, stream } = await runAttached(engine, `read x; echo ${index} $x; exit ${index}`);
    using _stream = stream;
    await stream.write("typed\n");
    assertEquals(new TextDecoder().decode(await stream.rest()), `typed\r\n${index} typed\r\n`);
    assertEquals(await engine.wait(id), index);
  }));
});

Deno.test("arguments, variables and directory reach a program at a terminal unchanged", async () => {
  await using engine = await TestEngine.start();
  const words = ["it's", "$HOME `x` $(y)", "two\nlines", "", "*", "\\n", '"', "a=b", "-x", "ünï"];
  const id = await engine.create("", {
    config: {
      Tty: true,
      Cmd: [
        "perl",
        "-e",
        'print "[$_]" for @ARGV; print "\\n$_=$ENV{$_}" for sort keys %ENV',
        "--",
        ...words,
      ],
      Env: [
        "PLAIN=1",
        "odd.name=2",
        "SHELL=/bin/none",
        'QUOTED=it\'s "$x"',
        "LINES_=a\nb",
        "APEX_WORDS=mine",
      ],
      WorkingDir: engine.dir,
    },
  });
  await engine.call("POST", `/containers/${id}/start`);
  assertEquals(await engine.wait(id), 0);
  const output = await (await engine.fetch("GET", `/containers/${id}/logs?stdout=1`)).text();
  const [first, ...variables] = output.replaceAll("\r\n", "\n").split(/\n(?=[\w.]+=)/);
  assertEquals(first, words.map((word) => `[${word}]`).join(""));
  assertEquals(variables, [
    "APEX_WORDS=mine",
    `HOME=${engine.dir}/e/containers/${id}/home`,
    `HOSTNAME=${id.slice(0, 12)}`,
    "LINES_=a\nb",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PLAIN=1",
    `QUOTED=it's "$x"`,
    "SHELL=/bin/none",
    "TERM=xterm",
    "odd.name=2",
  ]);
});

Deno.test("a program whose path has an equals sign runs at a terminal too", async () => {
  await using engine = await TestEngine.start();
  await Deno.mkdir(`${engine.dir}/a=b`);
  await Deno.writeTextFile(`${engine.dir}/a=b/tool`, '#!/bin/sh\nprintf "[%s]" "$@"\n', { mode: 0o755 });
  const config = { Tty: true, Cmd: [`${engine.dir}/a=b/tool`, "x y", "z"] };
  const id = await engine.create("", { config });
  await engine.call("POST", `/containers/${id}/start`);
  assertEquals(await engine.wait(id), 0);
  assertEquals(await (await engine.fetch("GET", `/containers/${id}/logs?stdout=1`)).text(), "[x y][z]");
});

Deno.test("a terminal's output begins with the program's first line, and none of it is lost", async () => {
  await using engine = await TestEngine.start();
  const { id, stream } = await runAttached(
    engine,
    "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done",
  );
  using _ = stream;
  const lines = new TextDecoder().decode(await stream.rest()).split("\r\n");
  assertEquals(lines, [...Array.from({ length: 20_000 }, (_, index) => String(index)), ""]);
  const logged = await (await engine.fetch("GET", `/containers/${id}/logs?stdout=1`)).text();
  assertEquals(logged.split("\r\n").length, 20_001);
});

Deno.test("a size that was set before the start is the first size of the terminal", async () => {
  await using engine = await TestEngine.start();
  const script = "tput lines 2>/dev/null; stty size";
  const asked = await engine.create(script, { config: { Tty: true, HostConfig: { ConsoleSize: [5, 6] } } });
  const resized = await engine.create(script, { config: { Tty: true } });
  assertEquals((await engine.call("POST", `/containers/${resized}/resize?h=7&w=8`)).status, 200);
  const neither = await engine.create(script, { config: { Tty: true } });
  for (const [id, size] of [[asked, "5 6"], [resized, "7 8"], [neither, "0 0"]] as const) {
    await engine.call("POST", `/containers/${id}/start`);
    await engine.wait(id);
    const output = await (await engine.fetch("GET", `/containers/${id}/logs?stdout=1`)).text();
    assertEquals(output.trim().split("\r\n").at(-1), size);
  }
  assert(!(await engine.events()).some(({ Action }) => Action === "resize"));
});

Deno.test("of many sizes at once the last one is set", async () => {
  await using engine = await TestEngine.start();
  const { id, stream } = await runAttached(engine, "echo ready; read x; stty size");
  using _ = stream;
  await stream.until("ready\r\n");
  await Promise.all(
    Array.from(
      { length: 50 },
      (_, index) => engine.call("POST", `/containers/${id}/resize?h=${index + 1}&w=${index + 101}`),
    ),
  );
  await engine.call("POST", `/containers/${id}/resize?h=51&w=151`);
  await stream.write("\n");
  assertEquals(new TextDecoder().decode(await stream.rest()), "\r\n51 151\r\n");
});

Deno.test("a container without a terminal accepts a new size", async () => {
  await using engine = await TestEngine.start();
  const id = await engine.run("sleep 60");
  assertEquals((await engine.call("POST", `/containers/${id}/resize?h=1&w=1`)).status, 200);
});

Deno.test("jobs of a shell at a terminal end with it, although each has its own group", async () => {
  await using engine = await TestEngine.start();
  const script = "set -m; trap '' HUP; sleep 60 & echo sleep=$!; yes >/dev/tty & echo yes=$!; exit 3";
  const { id, stream } = await runAttached(engine, "", { Cmd: ["bash", "-c", script] });
  using _ = stream;
  const seen = await stream.until("sleep=") + await stream.until("\r\n");
  assertEquals(await within(10_000, "its end", engine.wait(id)), 3);
  const pid = Number(/sleep=(?:y\r\n)*(\d+)/.exec(seen)?.[1]);
  assertGreater(pid, 1);
  await until("the job's end", async () => ["gone", "Z"].includes(await stateOf(pid)));
  await stream.rest();
});

Deno.test("pausing a container with a terminal, its own or an exec's, is refused with 501", async () => {
  await using engine = await TestEngine.start();
  await engine.run("sleep 60", { name: "own", config: { Tty: true } });
  const other = await engine.run("sleep 60", { name: "other" });
  const exec = await engine.call("POST", `/containers/${other}/exec`, { Cmd: ["sleep", "60"], Tty: true });
  const { Id } = exec.body as { Id: string };
  await engine.call("POST", `/exec/${Id}/start`, { Detach: true });
  for (const name of ["own", "other"]) {
    const { status, body } = await engine.call("POST", `/containers/${name}/pause`);
    const message = `the embedded engine cannot pause container ${name}, because it has a terminal: ` +
      "use docker or podman (--engine)";
    assertEquals([status, body], [501, { message }]);
    assertEquals((await engine.inspect(name)).State["Status"], "running");
  }
  assertEquals((await engine.events()).filter(({ Action }) => Action === "pause"), []);
});

Deno.test("a program at a terminal that stopped itself continues on SIGCONT", async () => {
  await using engine = await TestEngine.start();
  const { id, stream } = await runAttached(engine, "kill -STOP $$; echo again; read x; exit 4");
  using _ = stream;
  const pid = (await engine.inspect(id)).State["Pid"] as number;
  await until("its stop", async () => await stateOf(pid) === "T");
  await engine.call("POST", `/containers/${id}/kill?signal=CONT`);
  await stream.until("again\r\n");
  await stream.write("\n");
  assertEquals(await within(10_000, "its end", engine.wait(id)), 4);
});

Deno.test("a program at a terminal that stopped itself can be killed", async () => {
  await using engine = await TestEngine.start();
  const { id, stream } = await runAttached(engine, "kill -STOP $$");
  using _ = stream;
  const pid = (await engine.inspect(id)).State["Pid"] as number;
  await until("its stop", async () => await stateOf(pid) === "T");
  assertEquals((await within(10_000, "the kill", engine.call("POST", `/containers/${id}/kill`))).status, 204);
  assertEquals(await engine.wait(id), 137);
});

Deno.test("a program that cannot be executed at a terminal fails to start, or exits with 127", async () => {
  await using engine = await TestEngine.start();
  const none = await engine.create("", { config: { Tty: true, Cmd: ["nosuch"] } });
  assertEquals((await engine.call("POST", `/containers/${none}/start`)).status, 400);
  assertEquals((await engine.inspect(none)).State["ExitCode"], 127);
  await Deno.writeTextFile(`${engine.dir}/bad`, "#!/nosuch/interpreter\n", { mode: 0o755 });
  const bad = await engine.create("", { config: { Tty: true, Cmd: [`${engine.dir}/bad`] } });
  await engine.call("POST", `/containers/${bad}/start`);
  assertEquals(await engine.wait(bad), 127);
});

Deno.test("a client that does not read is disconnected; the process and other clients do not wait for it", async () => {
  await using engine = await TestEngine.start();
  const script = "head -c 40000000 /dev/zero";
  const id = await engine.create(script);
  using stalled = await attach(engine, id, "stream=1&stdout=1");
  using reader = await attach(engine, id, "stream=1&stdout=1");
  await engine.call("POST", `/containers/${id}/start`);
  assertEquals(unframed(await reader.rest()).stdout.length, 40_000_000);
  assertEquals(await engine.wait(id), 0);
  const seen = (await stalled.rest()).length;
  assertGreater(seen, 0);
  assertLess(seen, 40_000_000);
});

Deno.test("the engine closes although a client does not read", async () => {
  const engine = await TestEngine.start();
  const id = await engine.create("while :; do printf '%05000d\\n' 0; done");
  using stalled = await attach(engine, id, "stream=1&stdout=1");
  await engine.call("POST", `/containers/${id}/start`);
  await stalled.until("0000");
  await within(10_000, "the engine's end", engine[Symbol.asyncDispose]());
});

Deno.test("logs and stream together have every line once, while the program prints", async () => {
  await using engine = await TestEngine.start();
  for (const Tty of [false, true]) {
    const fifo = `${engine.dir}/${Tty}`;
    await new Deno.Command("mkfifo", { args: [fifo] }).output();
    const script = "i=0; while [ $i -lt 5000 ]; do printf '%d ' $i; echo; i=$((i+1)); done";
    const id = await engine.run(`${script}; read x <${fifo}`, { config: { Tty } });
    const streams: OpenStream[] = [];
    for (let round = 0; round < 8; round++) {
      streams.push(await attach(engine, id, "logs=1&stream=1&stdout=1"));
    }
    await Deno.writeTextFile(fifo, "end\n"); // Returns when a process has read it.
    for (const stream of streams) {
      const bytes = await stream.rest();
      const text = Tty ? new TextDecoder().decode(bytes) : unframed(bytes).stdout;
      const numbers = text.trim().split(/\s+/).map(Number);
      assertEquals(numbers, Array.from({ length: 5_000 }, (_, index) => index));
      stream[Symbol.dispose]();
    }
  }
});

Deno.test("the removal of a container that never ran ends its clients, and so does a failed start", async () => {
  await using engine = await TestEngine.start();
  const idle = await engine.create("true");
  using first = await attach(engine, idle, "stream=1&stdout=1");
  await engine.call("DELETE", `/containers/${idle}`);
  assertEquals((await first.rest()).length, 0);
  const bad = await engine.create("", { config: { Cmd: ["nosuch"] } });
  using second = await attach(engine, bad, "stream=1&stdout=1");
  await engine.call("POST", `/containers/${bad}/start`);
  assertEquals((await second.rest()).length, 0);
});

Deno.test("the end of the input in one run does not end the input of the next", async () => {
  await using engine = await TestEngine.start();
  const id = await engine.create("cat", { config: { OpenStdin: true, StdinOnce: true } });
  for (const word of ["one\n", "two\n"]) {
    using stream = await attach(engine, id);
    await engine.call("POST", `/containers/${id}/start`);
    await stream.write(word);
    await stream.until(word);
    await stream.closeWrite();
    await stream.rest();
    assertEquals(await engine.wait(id), 0);
  }
  assertEquals((await engine.logs(id)).stdout, "one\ntwo\n");
});

Deno.test("a client that disconnects before its container starts ends the input", async () => {
  await using engine = await TestEngine.start();
  const id = await engine.create("cat; echo end", { config: { OpenStdin: true, StdinOnce: true } });
  const disconnected = await attach(engine, id);
  disconnected[Symbol.dispose]();
  // The end of the client is the end of the input, once the process has one.
  await engine.call("POST", `/containers/${id}/start`);
  assertEquals(await within(10_000, "its end", engine.wait(id)), 0);
  assertEquals((await engine.logs(id)).stdout, "end\n");
});

Deno.test("removing a container while its terminal opens leaves no process", async () => {
  await using engine = await TestEngine.start();
  for (let round = 0; round < 10; round++) {
    const id = await engine.create("echo $$; exec sleep 60", { config: { Tty: true } });
    const [started, removed] = await Promise.all([
      engine.call("POST", `/containers/${id}/start`),
      engine.call("DELETE", `/containers/${id}?force=1`),
    ]);
    assert([204, 404, 409].includes(started.status), String(started.status));
    assertEquals(removed.status, 204, JSON.stringify(removed.body));
    assertEquals((await engine.call("GET", `/containers/${id}/json`)).status, 404);
  }
  await until("the end of all processes", async () => (await processesOf(engine.dir)).length === 0);
});

Deno.test("SIGHUP reaches the job in the terminal's foreground, as when the terminal is closed", async () => {
  await using engine = await TestEngine.start();
  // The shell has a handler, which runs after the job; the job ends by the signal.
  const script = "trap 'echo hung up' HUP; echo ready; sleep 600; exit 9";
  const id = await engine.run("", { config: { Tty: true, Cmd: ["bash", "-mc", script] } });
  const response = await engine.fetch("GET", `/containers/${id}/logs?stdout=1&follow=1`);
  const reader = response.body!.getReader();
  await within(10_000, "the job", reader.read());
  await reader.cancel();
  // Until the shell has put the job into the foreground.
  const { State: { Pid } } = await engine.inspect(id);
  while ((await processStat(Number(Pid)))?.foreground === Pid);
  assertEquals((await engine.call("POST", `/containers/${id}/kill?signal=HUP`)).status, 204);
  assertEquals(await within(10_000, "its end", engine.wait(id)), 9);
});

Deno.test({
  name: "docker run -i, -t, attach and exec work with the embedded engine",
  ignore: !(await isInstalled("docker")),
  async fn(t) {
    await using engine = await TestEngine.start();
    const docker = async (input: string, ...args: string[]): Promise<[number, string]> => {
      const child = new Deno.Command("docker", {
        args: ["-H", `unix://${engine.socketPath}`, ...args],
        env: { DOCKER_CONFIG: engine.dir },
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(input));
      await writer.close();
      const { code, stdout, stderr } = await within(30_000, args.join(" "), child.output());
      return [code, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr)];
    };
    await t.step("run -i --rm", async () => {
      assertEquals(await docker("a\nb\n", "run", "-i", "--rm", "busybox", "sh", "-c", "cat; exit 5"), [
        5,
        "a\nb\n",
      ]);
    });
    await t.step("run -t", async () => {
      assertEquals(await docker("", "run", "-t", "busybox", "sh", "-c", "test -t 1 && echo terminal"), [
        0,
        "terminal\r\n",
      ]);
    });
    await t.step("exec", async () => {
      await engine.run("sleep 60", { name: "here" });
      assertEquals(await docker("x\n", "exec", "-i", "here", "sh", "-c", "cat; exit 3"), [3, "x\n"]);
      assertEquals(await docker("", "exec", "-t", "here", "sh", "-c", "test -t 0 && echo yes"), [
        0,
        "yes\r\n",
      ]);
    });
    await t.step("attach", async () => {
      const config = { OpenStdin: true, StdinOnce: true };
      await engine.run("read x; echo got $x; exit 4", { name: "soon", config });
      assertEquals(await docker("hello\n", "attach", "soon"), [4, "got hello\n"]);
    });
  },
});
