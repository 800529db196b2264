/** Runs the real program, one process per run, with scripted servers. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { VERSION } from "../src/protocol/version.ts";
import { type OpScript, ScriptedDaemon } from "./support/daemons/scripted_daemon.ts";
import { taskResult } from "./support/daemons/task_result.ts";
import { type Script, ScriptedServer, send } from "./support/engines/scripted_server.ts";
import { TempDir } from "./support/temp_dir.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;

interface Run {
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
}

function apex({ args, env = {} }: Run): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", MAIN, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function outcome(run: Run): Promise<{ status: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await apex(run).output();
  const text = new TextDecoder();
  return { status: code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

const misuses: [args: string[], stderr: RegExp][] = [
  [[], /^Usage: apex .*[^]*Tasks:\n {2}run/],
  [["evnts"], /^apex: unknown verb 'evnts'\n\(did you mean events\?\)\nusage: apex \[OPTIONS\] VERB\n/],
  [["rnu", "ls"], /^apex: unknown verb 'rnu'\n\(did you mean run\?\)\nusage: /],
  [["kil", "dev"], /^apex: unknown verb 'kil'\nusage: /],
  [["help", "foo"], /^apex: unknown verb 'foo'\nusage: apex \[OPTIONS\] VERB\ntry: apex --help\n$/],
  [["help", "hisotry"], /^apex: unknown verb 'hisotry'\n\(did you mean history\?\)\nusage: /],
  [["help", "workspaces", "claen"], /^apex: unknown verb 'claen'\nusage: apex workspaces /],
  [["ps", "--jsn"], /^apex: unknown option '--jsn'\n\(did you mean --json\?\)\nusage: apex ps \[OPTIONS\]\n/],
  [["cancel"], /^apex: missing required argument 'TASK'\nusage: apex cancel \[OPTIONS\] TASK\.\.\.\n/],
  [["workspaces", "clean", "--yse"], /\(did you mean --yes\?\)\nusage: apex workspaces clean /],
  [["events", "surplus"], /^apex: too many arguments for 'events'.*\nusage: apex events \[OPTIONS\]\n/],
  [["events", "--socket"], /^apex: option '--socket PATH' argument missing\nusage: /],
  [["daemon", "--engine", "dokcer"], /'dokcer' is invalid\. It must be auto, docker, .*\nusage: apex daemon/],
  [
    ["--log-level", "loud", "status"],
    /'loud' is invalid\. Allowed choices are debug, info, warn, error\.\nusage/,
  ],
];

for (const [args, stderr] of misuses) {
  Deno.test(`apex ${args.join(" ")} prints usage on stderr, and exits with 2`, async () => {
    const result = await outcome({ args });
    assertMatch(result.stderr, stderr);
    assertEquals([result.status, result.stdout], [2, ""]);
  });
}

Deno.test("apex run, attach and wait exit with 125 after invalid arguments", async () => {
  const run = await outcome({ args: ["run", "--imge", "x", "--", "ls"] });
  assertMatch(
    run.stderr,
    /^apex: unknown option '--imge'\n\(did you mean --image\?\)\nusage: apex run \[OPTIONS\] \[--\] COMMAND/,
  );
  const attach = await outcome({ args: ["attach"] });
  assertMatch(attach.stderr, /^apex: missing required argument 'SESSION'\nusage: apex attach /);
  assertEquals([run.status, run.stdout, attach.status, attach.stdout], [125, "", 125, ""]);
  const waits = [
    [["wait"], /^apex: missing required argument 'TARGET'\nusage: apex wait \[OPTIONS\] TARGET\.\.\.\n/],
    [["wait", "--for", "sick", "t1"], /'sick' is invalid\. Allowed choices are exit, running, healthy, /],
    [["wait", "--any", "--all", "t1"], /option '--any' cannot be used with option '--all'/],
  ] as const;
  for (const [args, stderr] of waits) {
    const wait = await outcome({ args });
    assertMatch(wait.stderr, stderr);
    assertEquals([wait.status, wait.stdout], [125, ""]);
  }
});

const MISPLACED: readonly (readonly [readonly string[], string])[] = [
  [["--", "ls"], "the session's name must come before --: apex attach SESSION -- ls"],
  [["-b", "dev", "extra"], "the session's command must come after --: apex attach dev -- extra"],
  [["dev", "extra", "--", "ls"], "must come after --: apex attach dev -- extra ls"],
  [["--", "dev", "ls"], "must come after --: apex attach dev -- ls"],
  [["--", "dev", "--", "ls"], "must come after --: apex attach dev -- ls"],
];

for (const [args, message] of MISPLACED) {
  Deno.test(`apex attach ${args.join(" ")} explains what to write, and exits with 125`, async () => {
    await using dir = await TempDir.make();
    const { status, stdout, stderr } = await outcome({
      args: ["-D", "attach", ...args],
      env: { APEX_RUNTIME_DIR: dir.path },
    });
    assertMatch(stderr, /^apex: .*\nusage: apex attach \[OPTIONS\] SESSION \[-- COMMAND \[ARG\.\.\.\]\]\n/);
    assertStringIncludes(stderr, message);
    assertEquals([status, stdout], [125, ""]);
  });
}

Deno.test("apex attach accepts any command after --", async () => {
  await using dir = await TempDir.make();
  for (const args of [["dev"], ["dev", "--"], ["dev", "-b", "--", "--"], ["dev", "--", "ls", "--", "-l"]]) {
    const { stderr } = await outcome({
      args: ["-D", "attach", ...args],
      env: { APEX_RUNTIME_DIR: dir.path },
    });
    assertMatch(stderr, /^apex: no daemon is running /);
  }
});

Deno.test("apex --version and apex version print the version", async () => {
  for (const args of [["--version"], ["version"]]) {
    assertEquals(await outcome({ args }), { status: 0, stdout: `apex ${VERSION}\n`, stderr: "" });
  }
  const { version } = JSON.parse((await outcome({ args: ["version", "--json"] })).stdout);
  assertEquals(version, VERSION);
});

Deno.test("apex help prints the same as --help, even for a nested verb", async () => {
  for (const verb of [[], ["events"], ["workspaces", "clean"], ["help"]]) {
    const [help, flag] = [
      await outcome({ args: ["help", ...verb] }),
      await outcome({ args: [...verb, "--help"] }),
    ];
    assertEquals([help.status, help], [0, flag]);
  }
});

Deno.test("apex --help and VERB --help print on stdout, and exit with 0", async () => {
  const help = await outcome({ args: ["--help"] });
  assertEquals([help.status, help.stderr], [0, ""]);
  assertMatch(help.stdout, /Tasks:\n {2}run .*\n {2}tasks [^]*Daemon:\n {2}daemon /);
  assertMatch((await outcome({ args: ["events", "--help"] })).stdout, /apex events \| jq /);
});

const SHARED = [
  "--socket",
  "--config",
  "--engine",
  "--verbose",
  "--log-level",
  "--daemonize",
  "--no-daemonize",
];
const listed: [verb: string[], options: string[]][] = [
  [[], SHARED],
  [["run"], SHARED],
  [["events"], SHARED],
  [["ps"], ["--socket", "--config", "--engine"]],
  [["workspaces", "clean"], ["--socket", "--config", "--engine"]],
  [["daemon"], ["--socket", "--config", "--engine", "--verbose", "--log-level"]],
  [["restart"], ["--socket", "--config", "--engine", "--verbose", "--log-level"]],
  [["engine"], ["--socket", "--config", "--verbose", "--log-level"]],
  [["status"], ["--socket"]],
  [["stop"], ["--socket"]],
  [["demo"], []],
  [["version"], []],
];

Deno.test("the help of a verb lists the shared options that affect it, and no others are accepted", async () => {
  for (const [verb, options] of listed) {
    const { stdout } = await outcome({ args: [...verb, "--help"] });
    const found = SHARED.filter((option) => new RegExp(`^ +(-\\w, )?${option}\\b`, "m").test(stdout));
    assertEquals(found, options, verb.join(" "));
  }
  const { status, stderr } = await outcome({ args: ["ps", "-D"] });
  assertEquals([status, stderr.split("\n")[0]], [2, "apex: unknown option '-D'"]);
});

const withoutDaemon: string[][] = [
  ["ps"],
  ["status"],
  ["events", "-D"],
  ["--no-daemonize", "events"],
  ["tasks"],
  ["cancel", "t1", "t2"],
  ["logs", "t1"],
  ["inspect", "t1"],
  ["workspaces"],
  ["workspaces", "clean", "--yes"],
];

Deno.test("verbs that start no daemon exit with 3, and wait with 125, when none runs", async () => {
  await using dir = await TempDir.make();
  const cases = [...withoutDaemon.map((args) => [args, 3] as const), [["wait", "t1"], 125] as const];
  for (const [args, status] of cases) {
    const result = await outcome({ args, env: { APEX_RUNTIME_DIR: dir.path } });
    assertEquals([result.status, result.stdout], [status, ""]);
    assertMatch(
      result.stderr,
      /^apex: no daemon is running \(no socket at .*\); start one with: apex daemon\n$/,
    );
  }
});

const invalid: [name: string, run: Run, stderr: RegExp][] = [
  [
    "a relative APEX_RUNTIME_DIR",
    { args: ["events"], env: { APEX_RUNTIME_DIR: "run" } },
    /^apex: APEX_RUNTIME_DIR .*\n$/,
  ],
  [
    "an invalid APEX_LOG_LEVEL",
    { args: ["daemon"], env: { APEX_LOG_LEVEL: "loud" } },
    /^apex: APEX_LOG_LEVEL .*"loud"\n$/,
  ],
  [
    "a path too long for a socket",
    { args: ["events", "--socket", `/tmp/${"x".repeat(120)}/s`] },
    /^apex: .* is too long for a Unix socket: .*\n$/,
  ],
  [
    "a missing configuration file",
    { args: ["daemon", "--config", "/nonexistent.toml"] },
    /^apex: cannot read the configuration \/nonexistent\.toml: .*\n$/,
  ],
];

for (const [name, run, stderr] of invalid) {
  Deno.test(`apex rejects ${name} in one line, and exits with 2`, async () => {
    const result = await outcome(run);
    assertMatch(result.stderr, stderr);
    assertEquals([result.status, result.stdout], [2, ""]);
  });
}

Deno.test("apex run and attach do not apply -e to apex itself", async () => {
  await using dir = await TempDir.make();
  for (const args of [["run", "-D", "-e", "A=1", "--", "ls"], ["attach", "-D", "-e", "A=1", "dev"]]) {
    const { status, stderr } = await outcome({ args, env: { APEX_RUNTIME_DIR: dir.path } });
    assertMatch(stderr, /^apex: no daemon is running /);
    assertEquals(status, 125);
  }
});

/** Error messages of the runtime, and the report of a bug in apex. */
const RAW_TEXT = /os error|bug in apex|^ +at |panicked|Error:/m;

Deno.test("every verb reports a system error in plain words, with the path", async (t) => {
  await using dir = await TempDir.make();
  await Deno.writeTextFile(dir.join("file"), "");
  await Deno.mkdir(dir.join("locked/apex.lock"), { recursive: true, mode: 0o700 });
  await Deno.chmod(dir.join("locked"), 0o700);
  await Deno.mkdir(dir.join("taken/apex.socket"), { recursive: true });
  await Deno.symlink("loop", dir.join("loop"));
  const home = { APEX_RUNTIME_DIR: dir.join("run"), APEX_STATE_DIR: dir.join("state"), HOME: dir.path };
  const NO_DIRECTORY = "a part of its path is not a directory";
  const LOOP = "too many symbolic links in its path";
  const cases: [args: string[], env: Record<string, string>, status: number, says: string][] = [
    [["daemon", "--config", dir.path], {}, 2, `cannot read the configuration ${dir.path}: it is a directory`],
    [["daemon", "--config", dir.join("loop")], {}, 2, LOOP],
    [["daemon", "--config", dir.join("file/x")], {}, 2, NO_DIRECTORY],
    [["run", "--config", dir.join("no"), "--", "ls"], {}, 125, "no such file or directory"],
    [["daemon", "--engine", "embedded"], { APEX_STATE_DIR: dir.join("file/x") }, 1, NO_DIRECTORY],
    [["run", "--", "ls"], { APEX_STATE_DIR: dir.join("loop/x") }, 125, LOOP],
    [["daemon", "--engine", "embedded"], { APEX_RUNTIME_DIR: dir.join("file/x") }, 1, NO_DIRECTORY],
    [
      ["daemon", "--engine", "embedded"],
      { APEX_STATE_DIR: dir.join("locked") },
      1,
      "apex.lock: it is a directory",
    ],
    [["engine", "--dir", dir.join("file/x")], {}, 1, NO_DIRECTORY],
    [["ps"], { APEX_RUNTIME_DIR: dir.join("file") }, 1, NO_DIRECTORY],
    [["events"], { APEX_RUNTIME_DIR: dir.join("loop") }, 1, LOOP],
    [["list", "--socket", dir.join("taken/apex.socket")], {}, 2, "it is a directory, not a socket"],
    [["attach", "x", "--socket", dir.join("file")], {}, 125, "it is a file, not a socket"],
    [
      ["events", "--cursor-file", dir.join("no/x")],
      {},
      2,
      `${dir.join("no/x")}: its directory does not exist`,
    ],
    [["events", "--cursor-file", dir.join("file/x")], {}, 1, NO_DIRECTORY],
    [["status", "--socket", ""], {}, 2, "--socket: the path is empty"],
    [["engine", "--dir", ""], {}, 2, "--dir: the path is empty"],
    [["daemon", "--config", ""], {}, 2, "--config: the path is empty"],
    [["wait", ""], {}, 125, "an argument is empty"],
  ];
  for (const [args, env, status, says] of cases) {
    await t.step(`${args.join(" ")} ${Object.keys(env)}`, async () => {
      const result = await outcome({ args, env: { ...home, ...env } });
      assertStringIncludes(result.stderr, says);
      assertEquals(result.stderr.match(RAW_TEXT), null);
      assertEquals([result.status, result.stdout], [status, ""]);
    });
  }
});

Deno.test("error messages escape control characters", async () => {
  await using dir = await TempDir.make();
  await using _daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "tasks.cancel": (connection) => connection.refuse("not_found", 'no such task: "\x1b[31mx"'),
    "sessions.attach": (connection) => connection.refuse("usage", 'no such session: "\x1b[31mx"'),
  });
  for (const verb of ["cancel", "attach"]) {
    const { stderr } = await outcome({ args: [verb, "\x1b[31mx"], env: { APEX_RUNTIME_DIR: dir.path } });
    assertMatch(stderr, /^apex: no such (task|session): "\\x1b\[31mx"\n$/);
  }
});

Deno.test("apex daemon names an unknown key of its configuration, and exits with 2", async () => {
  await using dir = await TempDir.make();
  await Deno.mkdir(dir.join("apex"));
  await Deno.writeTextFile(dir.join("apex/config.toml"), `log_levle = "info"\n`);
  const result = await outcome({ args: ["daemon"], env: { XDG_CONFIG_HOME: dir.path } });
  assertEquals(
    result.stderr,
    `apex: ${dir.path}/apex/config.toml: unknown key "log_levle" (did you mean "log_level"?)\n`,
  );
  assertEquals(result.status, 2);
});

Deno.test("apex run exits with 125 and one line for every failure of apex itself", async () => {
  await using dir = await TempDir.make();
  const cases: [args: string[], stderr: RegExp][] = [
    [["-D", "run", "--", "true"], /^apex: no daemon is running .*\n$/],
    [["run", "-D", "true"], /^apex: no daemon is running .*\n$/],
    [["run", "--memory", "12x", "--", "true"], /^apex: --memory: invalid size "12x" .*\n$/],
    [["run", "-v", "/a:b", "true"], /^apex: -v: "\/a:b": .*\n$/],
    [
      ["run", "--socket", `/tmp/${"x".repeat(120)}/s`, "true"],
      /^apex: .* is too long for a Unix socket: .*\n$/,
    ],
  ];
  for (const [args, stderr] of cases) {
    const result = await outcome({ args, env: { APEX_RUNTIME_DIR: dir.path } });
    assertMatch(result.stderr, stderr);
    assertEquals([result.status, result.stdout], [125, ""], args.join(" "));
  }
});

const commands: [args: string[], cmd: string[]][] = [
  [["run", "--", "ls", "-la", "--", "x"], ["ls", "-la", "--", "x"]],
  [["-v", "run", "ls", "-v", "--help"], ["ls", "-v", "--help"]],
  [["run", "-v", "/a:/b", "sh", "-c", "echo a b"], ["sh", "-c", "echo a b"]],
  [["run", "--task=t1", "--", "--version"], ["--version"]],
];

for (const [args, cmd] of commands) {
  Deno.test(`apex ${args.join(" ")} runs ${JSON.stringify(cmd)}`, async () => {
    await using dir = await TempDir.make();
    await using daemon = new ScriptedDaemon(dir.join("apex.socket"), {
      "tasks.run": async (connection) => {
        await connection.reply({ taskId: "t1" });
        await connection.frame("exit", { task: taskResult({ state: "failed", exitCode: 9 }) });
      },
    });
    const result = await outcome({ args, env: { APEX_RUNTIME_DIR: dir.path } });
    assertEquals(result, { status: 9, stdout: "", stderr: "" });
    assertEquals((await daemon.received("tasks.run")).task.cmd, cmd);
  });
}

/** A task that prints a line when it runs, and ends when the test resolves `ended`. */
function longTask(): { script: OpScript; ended: PromiseWithResolvers<void> } {
  const ended = Promise.withResolvers<void>();
  const script: OpScript = async (connection) => {
    await connection.reply({ taskId: "t1" });
    await connection.frame("started", { taskId: "t1", containerId: "c" });
    await connection.frame("data", "running\n");
    await Promise.race([ended.promise, connection.hungUp()]);
    await connection.frame("exit", {
      task: taskResult({ state: "failed", reason: "signal", exitCode: 137 }),
    });
  };
  return { script, ended };
}

Deno.test("apex run forwards SIGTERM and SIGINT, kills with the second SIGINT, and ends with its task", async () => {
  await using dir = await TempDir.make();
  const { script, ended } = longTask();
  await using daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "tasks.run": script,
    "tasks.signal": (connection) => connection.reply({}),
  });
  await using child = apex({ args: ["run", "x"], env: { APEX_RUNTIME_DIR: dir.path } }).spawn();
  using reader = cancelled(child.stdout.getReader());
  await reader.read();
  for (const [before, signal] of (["SIGTERM", "SIGINT", "SIGINT"] as const).entries()) {
    child.kill(signal);
    await daemon.received("tasks.signal", before + 1);
  }
  ended.resolve();
  const stderr = await new Response(child.stderr).text();
  assertEquals([(await child.status).code, stderr], [137, ""]);
  const sent = daemon.requests.map((request) => request.op === "tasks.signal" ? request.signal : request.op);
  assertEquals(sent, ["tasks.run", "SIGTERM", "SIGINT", "SIGKILL"]);
});

Deno.test("apex run ends on SIGHUP; its task continues", async () => {
  await using dir = await TempDir.make();
  const hungUp = Promise.withResolvers<void>();
  await using daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "tasks.run": async (connection) => {
      await connection.reply({ taskId: "t1" });
      await connection.frame("started", { taskId: "t1", containerId: "c" });
      await connection.frame("data", "running\n");
      await connection.hungUp();
      hungUp.resolve();
    },
  });
  await using child = apex({ args: ["run", "x"], env: { APEX_RUNTIME_DIR: dir.path } }).spawn();
  using reader = cancelled(child.stdout.getReader());
  await reader.read();
  child.kill("SIGHUP");
  assertEquals((await child.status).code, 129);
  await child.stderr.cancel();
  await hungUp.promise;
  assertEquals(daemon.requests.length, 1);
});

Deno.test("apex run forwards signals while its reader is paused, and ends with the third SIGINT", async () => {
  await using dir = await TempDir.make();
  await using daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "tasks.run": async (connection) => {
      await connection.reply({ taskId: "t1" });
      await connection.frame("started", { taskId: "t1", containerId: "c" });
      // More than the socket, the client and the pipe hold; the write fails when the client ends.
      const writing = async () => {
        while (true) await connection.frame("data", "x".repeat(60_000));
      };
      await assertRejects(writing, Deno.errors.BrokenPipe);
    },
    "tasks.signal": (connection) => connection.reply({}),
  });
  await using child = apex({ args: ["run", "x"], env: { APEX_RUNTIME_DIR: dir.path } }).spawn();
  using reader = cancelled(child.stdout.getReader());
  await reader.read(); // it has begun to write
  for (const [before, signal] of ["SIGINT", "SIGKILL"].entries()) {
    child.kill("SIGINT");
    assertEquals((await daemon.received("tasks.signal", before + 1)).signal, signal);
  }
  child.kill("SIGINT");
  const stderr = await new Response(child.stderr).text();
  assertEquals((await child.status).code, 130);
  assertEquals(stderr, "apex: interrupted; task t1 may continue (see: apex wait t1)\n");
});

async function eventsFrom(script: Script): Promise<{ status: number; stdout: string; stderr: string }> {
  await using dir = await TempDir.make();
  await using _ = new ScriptedServer(dir.join("events.socket"), script);
  return await outcome({ args: ["events"], env: { APEX_RUNTIME_DIR: dir.path } });
}

const LINES = `{"type":"session.created"}\n{"type":"brand.new","ä":"☃"}\n`;

Deno.test("apex events prints lines unchanged, and exits with 0 when the daemon shuts down", async () => {
  const result = await eventsFrom(async (conn) => {
    await send(conn, LINES);
    await Deno.remove((conn.localAddr as Deno.UnixAddr).path);
  });
  assertEquals(result, { status: 0, stdout: LINES, stderr: "" });
});

Deno.test("apex events exits with 6 when the stream breaks off, and prints no partial line", async () => {
  const result = await eventsFrom((conn) => send(conn, `${LINES}{"type":"half`));
  assertEquals([result.status, result.stdout], [6, LINES]);
  assertMatch(result.stderr, /^apex: the event stream from .* broke off: .*\n$/);
});

Deno.test("apex events exits with 0 and no message when its reader closes the pipe", async () => {
  await using dir = await TempDir.make();
  await using _ = new ScriptedServer(dir.join("events.socket"), async (conn) => {
    try {
      while (true) await send(conn, LINES);
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error; // the client has ended
    }
  });
  const shell = `("$@"; echo "status $?" >&2) | head -1`;
  const { stdout, stderr } = await new Deno.Command("/bin/sh", {
    args: ["-c", shell, "sh", Deno.execPath(), "run", "-A", "--quiet", MAIN, "events"],
    env: { APEX_RUNTIME_DIR: dir.path },
    stdin: "null",
  }).output();
  assertEquals(new TextDecoder().decode(stdout), `{"type":"session.created"}\n`);
  assertEquals(new TextDecoder().decode(stderr), "status 0\n");
});

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  Deno.test(`apex events exits with ${status} and no message on ${signal}, after it has printed all events`, async () => {
    await using dir = await TempDir.make();
    const finished = Promise.withResolvers<void>();
    await using _ = new ScriptedServer(dir.join("events.socket"), async (conn) => {
      await send(conn, LINES);
      await finished.promise;
    });
    await using child = apex({ args: ["events"], env: { APEX_RUNTIME_DIR: dir.path } }).spawn();
    using reader = cancelled(child.stdout.getReader());
    const first = await reader.read();
    assertEquals(new TextDecoder().decode(first.value), LINES);
    child.kill(signal);
    const stderr = await new Response(child.stderr).text();
    assertEquals([(await child.status).code, stderr], [status, ""]);
    finished.resolve();
  });
}

Deno.test("apex events ends at once on SIGINT while its reader is paused", async () => {
  await using dir = await TempDir.make();
  await using _ = new ScriptedServer(dir.join("events.socket"), async (conn) => {
    // More than the socket, the client and the pipe hold; the write fails when the client ends.
    await assertRejects(() => send(conn, "\n".repeat(4 * 1024 * 1024)), Deno.errors.BrokenPipe);
  });
  await using child = apex({ args: ["events"], env: { APEX_RUNTIME_DIR: dir.path } }).spawn();
  using reader = cancelled(child.stdout.getReader());
  await reader.read(); // it has begun to write
  child.kill("SIGINT");
  assertEquals((await child.status).code, 130);
  await child.stderr.cancel();
});

Deno.test("apex --version and apex events load neither daemon, engine nor schemas", async () => {
  const info = new Deno.Command(Deno.execPath(), { args: ["info", "--json", MAIN], stderr: "null" });
  const graph: ModuleGraph = JSON.parse(new TextDecoder().decode((await info.output()).stdout));
  const loaded = staticClosure(graph, [
    `file://${MAIN}`,
    `file://${MAIN.replace("main.ts", "src/cli/commands/events.ts")}`,
  ]);
  assert(
    loaded.some((specifier) => specifier.endsWith("/src/client/events.ts")),
    "the module graph is incomplete",
  );
  const unwanted =
    /\/src\/(daemon|engine|containers|eventlog|demo)\/|valibot|smol-toml|logtape|eventemitter3/;
  assertEquals(loaded.filter((specifier) => unwanted.test(specifier)), []);
});

interface ModuleGraph {
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly {
      readonly specifier: string;
      readonly code?: { readonly specifier?: string };
      readonly npmPackage?: string;
      readonly isDynamic?: boolean;
    }[];
  }[];
}

/** The modules that these modules load statically. */
function staticClosure(graph: ModuleGraph, roots: readonly string[]): string[] {
  const byName = new Map(graph.modules.map((module) => [module.specifier, module]));
  const seen = new Set(roots);
  for (const specifier of seen) {
    for (const dependency of byName.get(specifier)?.dependencies ?? []) {
      const target = dependency.code?.specifier;
      if (target !== undefined && !dependency.isDynamic) seen.add(target);
    }
  }
  return [...seen];
}

/** The reader, cancelled at the end of the block. */
function cancelled<T>(reader: ReadableStreamDefaultReader<T>): ReadableStreamDefaultReader<T> & Disposable {
  return Object.assign(reader, { [Symbol.dispose]: () => void reader.cancel() });
}
