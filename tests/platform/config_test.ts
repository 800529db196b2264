import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import { type Config, type ConfigFlags, loadConfig } from "../../src/platform/config.ts";
import { TempDir } from "../support/temp_dir.ts";

interface Given {
  readonly toml?: string;
  readonly env?: Record<string, string>;
  readonly flags?: ConfigFlags;
}

async function load(dir: TempDir, { toml, env = {}, flags = {} }: Given): Promise<Config> {
  const configFile = dir.join("config.toml");
  if (toml !== undefined) await Deno.writeTextFile(configFile, toml);
  return await loadConfig({
    paths: { configFile, configFileIsChosen: false },
    env: (name) => env[name],
    flags,
  });
}

Deno.test("loadConfig() has a default for every setting", async () => {
  await using dir = await TempDir.make();
  assertEquals(await load(dir, {}), {
    engine: "auto",
    engineSource: "default",
    logLevel: "info",
    maxSubscribers: 16_384,
    maxControlConnections: 256,
    maxStreams: 4_096,
    image: "busybox",
    stopTimeoutSeconds: 10,
    daemonize: true,
    healthWatch: {},
    session: { image: "busybox", restore: "screen", scrollbackLines: 1_000, killGraceMs: 10_000 },
    journal: { isKept: true },
    keepOutput: { maxBytes: 1024 ** 2, maxTotalBytes: 64 * 1024 ** 2 },
  });
});

Deno.test("loadConfig() reads the settings of the file", async () => {
  await using dir = await TempDir.make();
  const toml = `
    engine = "unix:///e.sock"
    log_level = "warn"
    max_subscribers = 7
    max_control_connections = 8
    max_streams = 9
    image = "alpine:3"
    max_concurrent_tasks = 4
    stop_timeout = "1m30s"
    daemonize = false

    [health_watch]
    enabled = true
    interval = "5s"
    memory_share = 0.5
    pids_share = 1.0
    failures = 2

    [session]
    image = "debian"
    command = ["bash", "-l"]
    restore = "lines=200"
    scrollback = 5000
    kill_grace = "3s"
    detach_keys = "Ctrl-p Ctrl-q"

    [journal]
    max_age = "30d"
    max_bytes = "1g"

    [tasks]
    keep_output = "0"
    keep_output_total = "1m"
  `;
  assertEquals(await load(dir, { toml }), {
    engine: "unix:///e.sock",
    engineSource: `engine in ${dir.join("config.toml")}`,
    logLevel: "warn",
    maxSubscribers: 7,
    maxControlConnections: 8,
    maxStreams: 9,
    image: "alpine:3",
    maxConcurrentTasks: 4,
    stopTimeoutSeconds: 90,
    daemonize: false,
    healthWatch: {
      enabled: true,
      intervalMs: 5_000,
      memoryShareLimit: 0.5,
      pidsShareLimit: 1,
      failureThreshold: 2,
    },
    session: {
      image: "debian",
      cmd: ["bash", "-l"],
      restore: "lines=200",
      scrollbackLines: 5_000,
      killGraceMs: 3_000,
      detachKeys: "Ctrl-p Ctrl-q",
    },
    journal: { isKept: true, maxAgeMs: 30 * 24 * 3_600_000, maxBytes: 1024 ** 3 },
    keepOutput: { maxBytes: 0, maxTotalBytes: 1024 ** 2 },
  });
});

Deno.test("loadConfig() disables the journal by the file or a flag", async () => {
  await using dir = await TempDir.make();
  assertEquals((await load(dir, { toml: "journal = false" })).journal, { isKept: false });
  const table = '[journal]\nmax_bytes = "8m"\n';
  const off = { isKept: false, maxBytes: 8 * 1024 ** 2 };
  assertEquals((await load(dir, { toml: table, flags: { journal: false } })).journal, off);
  assertEquals((await load(dir, { toml: "journal = true" })).journal, { isKept: true });
});

Deno.test("loadConfig() accepts a partial health_watch, and rounds stop_timeout up to whole seconds", async () => {
  await using dir = await TempDir.make();
  const toml = `stop_timeout = "200ms"\n[health_watch]\nenabled = true\n`;
  const config = await load(dir, { toml });
  assertEquals([config.stopTimeoutSeconds, config.healthWatch], [1, { enabled: true }]);
});

Deno.test("loadConfig() prefers flags to the environment, and the environment to the file", async () => {
  await using dir = await TempDir.make();
  const toml = `engine = "docker"\nlog_level = "warn"\n`;
  const env = { APEX_LOG_LEVEL: "error" };
  assertEquals((await load(dir, { toml, env })).logLevel, "error");
  const config = await load(dir, { toml, env, flags: { logLevel: "debug", engine: "podman" } });
  assertEquals([config.logLevel, config.engine, config.engineSource], ["debug", "podman", "--engine"]);
});

const INVALID: [name: string, given: Given, message: RegExp][] = [
  [
    "an unknown key",
    { toml: `log_levle = "info"` },
    /config\.toml: unknown key "log_levle" \(did you mean "log_level"\?\)$/,
  ],
  [
    "a key unlike any other",
    { toml: `colour = 1` },
    /unknown key "colour" \(valid keys: engine, log_level, /,
  ],
  [
    "a journal of another type",
    { toml: 'journal = "no"' },
    /journal must be true, false or a table, not "no"$/,
  ],
  ["an unknown key of the journal", {
    toml: '[journal]\nmax_ages = "1d"',
  }, /unknown key "journal\.max_ages" \(did you mean "journal\.max_age"\?\)$/],
  ["a journal without room", {
    toml: '[journal]\nmax_bytes = "1k"',
  }, /journal\.max_bytes must be at least "4m", not "1k"$/],
  [
    "an invalid age",
    { toml: '[journal]\nmax_age = "old"' },
    /journal\.max_age must be a duration .* not "old"$/,
  ],
  ["a table", { toml: `[engine]\nx = 1` }, /config\.toml: engine must be a string, not \{"x":1\}$/],
  ["an unknown engine", { toml: `engine = "dokcer"` }, /engine must be auto, docker, .*, not "dokcer"$/],
  ["a relative engine socket", { toml: `engine = "unix://e.sock"` }, /engine must be auto/],
  [
    "an unknown log level",
    { toml: `log_level = "loud"` },
    /log_level must be one of debug, info, warn, error, not "loud"$/,
  ],
  ["zero subscribers", { toml: `max_subscribers = 0` }, /max_subscribers must be at least 1, not 0$/],
  [
    "half a subscriber",
    { toml: `max_subscribers = 1.5` },
    /max_subscribers must be a whole number, not 1\.5$/,
  ],
  ["a number as text", { toml: `max_subscribers = "9"` }, /max_subscribers must be a number, not "9"$/],
  [
    "an unknown key in a table",
    { toml: `[health_watch]\nintervall = "5s"` },
    /config\.toml: unknown key "health_watch\.intervall" \(did you mean "health_watch\.interval"\?\)$/,
  ],
  [
    "a key in a table unlike any other",
    { toml: `[health_watch]\ncolour = 1` },
    /unknown key "health_watch\.colour" \(valid keys: enabled, interval, memory_share, /,
  ],
  [
    "a command that is not a list",
    { toml: `[session]\ncommand = "bash -l"` },
    /session\.command must be a list of words/,
  ],
  [
    "an unknown way to restore",
    { toml: `[session]\nrestore = "all"` },
    /session\.restore must be "screen"/,
  ],
  ["a value instead of a table", { toml: `health_watch = true` }, /health_watch must be a table, not true$/],
  [
    "a share above 1",
    { toml: `[health_watch]\nmemory_share = 1.5` },
    /health_watch\.memory_share must be at most 1, not 1\.5$/,
  ],
  [
    "an interval of zero",
    { toml: `[health_watch]\ninterval = "1ms"` },
    /health_watch\.interval must be at least "1s", not "1ms"$/,
  ],
  [
    "a duration without a unit",
    { toml: `stop_timeout = 10` },
    /stop_timeout must be a duration such as "10s" or "1m30s", not 10$/,
  ],
  [
    "an invalid duration",
    { toml: `stop_timeout = "soon"` },
    /stop_timeout must be a duration .*, not "soon"$/,
  ],
  ["a duration longer than any timer", { toml: `stop_timeout = "30d"` }, /must be a duration .*, not "30d"$/],
  [
    "zero tasks",
    { toml: `max_concurrent_tasks = 0` },
    /max_concurrent_tasks must be at least 1, not 0$/,
  ],
  ["an image without a name", { toml: `image = ""` }, /image must name an image, not ""$/],
  [
    "a word instead of a boolean",
    { toml: `daemonize = "yes"` },
    /daemonize must be true or false, not "yes"$/,
  ],
  ["invalid TOML", { toml: `engine = "docker"\nlog_level = ` }, /config\.toml:2:\d+: \S.*$/],
  [
    "an invalid log level in the environment",
    { env: { APEX_LOG_LEVEL: "LOUD" } },
    /^APEX_LOG_LEVEL must be one of .*, not "LOUD"$/,
  ],
];

for (const [name, given, message] of INVALID) {
  Deno.test(`loadConfig() refuses ${name} in one line that names it`, async () => {
    await using dir = await TempDir.make();
    const error = await assertRejects(() => load(dir, given), ApexError);
    assertEquals(error.code, "usage");
    assertMatch(error.message, message);
    assertEquals(error.message.includes("\n"), false);
  });
}

Deno.test("loadConfig() rejects when the file named with --config does not exist", async () => {
  await using dir = await TempDir.make();
  const paths = { configFile: dir.join("none.toml"), configFileIsChosen: true };
  const error = await assertRejects(() => loadConfig({ paths, env: () => undefined, flags: {} }), ApexError);
  assertMatch(error.message, /^cannot read the configuration .*none\.toml: /);
});
