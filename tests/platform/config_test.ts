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

Deno.test("loadConfig() has a value for everything when nothing is said", async () => {
  await using dir = await TempDir.make();
  assertEquals(await load(dir, {}), {
    engine: "auto",
    engineSource: "default",
    logLevel: "info",
    maxSubscribers: 16_384,
    maxControlConnections: 256,
  });
});

Deno.test("loadConfig() takes what the file says", async () => {
  await using dir = await TempDir.make();
  const toml =
    `engine = "unix:///e.sock"\nlog_level = "warn"\nmax_subscribers = 7\nmax_control_connections = 8\n`;
  assertEquals(await load(dir, { toml }), {
    engine: "unix:///e.sock",
    engineSource: `engine in ${dir.join("config.toml")}`,
    logLevel: "warn",
    maxSubscribers: 7,
    maxControlConnections: 8,
  });
});

Deno.test("loadConfig() lets flags win over the environment, and that over the file", async () => {
  await using dir = await TempDir.make();
  const toml = `engine = "docker"\nlog_level = "warn"\n`;
  const env = { APEX_LOG_LEVEL: "error" };
  assertEquals((await load(dir, { toml, env })).logLevel, "error");
  const config = await load(dir, { toml, env, flags: { logLevel: "debug", engine: "podman" } });
  assertEquals([config.logLevel, config.engine, config.engineSource], ["debug", "podman", "--engine"]);
});

const nonsense: [name: string, given: Given, message: RegExp][] = [
  [
    "an unknown key",
    { toml: `log_levle = "info"` },
    /config\.toml: unknown key "log_levle" \(did you mean "log_level"\?\)$/,
  ],
  [
    "a key that is like none",
    { toml: `colour = 1` },
    /unknown key "colour" \(there are: engine, log_level, /,
  ],
  ["a table", { toml: `[engine]\nx = 1` }, /config\.toml: engine must be a string, not \{"x":1\}$/],
  ["an unknown engine", { toml: `engine = "dokcer"` }, /engine must be auto, docker, .*, not "dokcer"$/],
  ["a relative engine socket", { toml: `engine = "unix://e.sock"` }, /engine must be auto/],
  [
    "an unknown log level",
    { toml: `log_level = "loud"` },
    /log_level must be one of debug, info, warn, error, not "loud"$/,
  ],
  ["no subscribers at all", { toml: `max_subscribers = 0` }, /max_subscribers must be at least 1, not 0$/],
  [
    "half a subscriber",
    { toml: `max_subscribers = 1.5` },
    /max_subscribers must be a whole number, not 1\.5$/,
  ],
  ["a number as text", { toml: `max_subscribers = "9"` }, /max_subscribers must be a number, not "9"$/],
  ["what is not TOML", { toml: `engine = "docker"\nlog_level = ` }, /config\.toml:2:\d+: \S.*$/],
  [
    "a log level of the environment",
    { env: { APEX_LOG_LEVEL: "LOUD" } },
    /^APEX_LOG_LEVEL must be one of .*, not "LOUD"$/,
  ],
];

for (const [name, given, message] of nonsense) {
  Deno.test(`loadConfig() refuses ${name} in one line that names it`, async () => {
    await using dir = await TempDir.make();
    const error = await assertRejects(() => load(dir, given), ApexError);
    assertEquals(error.code, "usage");
    assertMatch(error.message, message);
    assertEquals(error.message.includes("\n"), false);
  });
}

Deno.test("loadConfig() wants a file that was named with --config to be there", async () => {
  await using dir = await TempDir.make();
  const paths = { configFile: dir.join("none.toml"), configFileIsChosen: true };
  const error = await assertRejects(() => loadConfig({ paths, env: () => undefined, flags: {} }), ApexError);
  assertMatch(error.message, /^cannot read the configuration .*none\.toml: /);
});
