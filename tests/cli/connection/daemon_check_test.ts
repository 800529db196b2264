/** The engine that a client names, compared with the one that the daemon reports. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { DaemonFlags } from "../../../src/cli/args/daemon_flags.ts";
import { DaemonCheck } from "../../../src/cli/connection/daemon_check.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import { instanceLockPath } from "../../../src/platform/lock_file.ts";
import { PROTOCOL_VERSION, VERSION } from "../../../src/protocol/version.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import { TempDir } from "../../support/temp_dir.ts";

interface Setting {
  readonly flags?: DaemonFlags;
  readonly env?: Record<string, string>;
  readonly config?: string;
  readonly isChange?: boolean;
  /** The engines that the daemon reports, one per request; the last one is repeated. */
  readonly engines?: readonly Record<string, unknown>[];
  readonly version?: string;
  readonly protocol?: number;
  /** The version in the lock file; that of the daemon by default. */
  readonly recordedVersion?: string;
}

interface Outcome {
  readonly failure: ApexError | undefined;
  readonly stderr: string;
  /** How many requests the daemon received. */
  readonly asked: number;
}

const EMBEDDED = { state: "connected", kind: "embedded", socket: "/r/engine.socket", source: "--engine" };
const DOCKER = { state: "connected", kind: "docker", socket: "/other/docker.sock", source: "default" };

/** Checks twice, as a verb that reconnects does. */
async function check(setting: Setting): Promise<Outcome> {
  const { flags = {}, env = {}, isChange = true, engines = [EMBEDDED] } = setting;
  const { version = VERSION, protocol = PROTOCOL_VERSION } = setting;
  await using dir = await TempDir.make();
  const variables: Record<string, string> = { HOME: dir.path, APEX_RUNTIME_DIR: dir.path, ...env };
  if (setting.config !== undefined) {
    await Deno.mkdir(dir.join(".config/apex"), { recursive: true });
    await Deno.writeTextFile(dir.join(".config/apex/config.toml"), setting.config);
  }
  const record = { pid: 42, socket: dir.join("apex.socket"), version: setting.recordedVersion ?? version };
  await Deno.writeTextFile(instanceLockPath(dir.path), JSON.stringify(record));
  let asked = 0;
  await using _daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "status": (connection) => {
      const engine = engines[Math.min(asked++, engines.length - 1)];
      return connection.reply({ version, protocol, pid: 42, engine });
    },
  });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr, env: (name) => variables[name] });
  const daemonCheck = new DaemonCheck({ context, flags, isChange });
  const sockets = resolveSockets(context);
  let failure: ApexError | undefined;
  try {
    await daemonCheck.check(sockets);
    await daemonCheck.check(sockets);
  } catch (error) {
    if (!(error instanceof ApexError)) throw error;
    failure = error;
  }
  return { failure, stderr: stderr.text, asked };
}

const REMEDIES =
  "; stop that daemon (apex stop), start another one (--socket PATH, with an APEX_STATE_DIR of its own), or accept its engine (--engine embedded)";

const others: [name: string, setting: Setting, message: string][] = [
  ["--engine docker", { flags: { engine: "docker" } }, "--engine names docker"],
  ["--engine podman", { flags: { engine: "podman" } }, "--engine names podman"],
  ["--engine unix://", { flags: { engine: "unix:///x/y.sock" } }, "--engine names unix:///x/y.sock"],
  ["DOCKER_HOST", { env: { DOCKER_HOST: "unix:///x/y.sock" } }, "DOCKER_HOST names unix:///x/y.sock"],
  [
    "--engine docker with DOCKER_HOST",
    { flags: { engine: "docker" }, env: { DOCKER_HOST: "unix:///x/y.sock" } },
    "DOCKER_HOST names unix:///x/y.sock",
  ],
];

for (const [name, setting, message] of others) {
  Deno.test(`DaemonCheck refuses a change, and warns once otherwise, when another engine is named by ${name}`, async () => {
    const { failure } = await check(setting);
    assertEquals(failure?.code, "conflict");
    assertEquals(
      failure?.message,
      `the daemon (pid 42) follows embedded at /r/engine.socket (from --engine), but ${message}${REMEDIES}`,
    );
    const reading = await check({ ...setting, isChange: false });
    assertEquals(reading.failure, undefined);
    assertEquals(
      reading.stderr,
      `apex: the daemon (pid 42) follows embedded at /r/engine.socket (from --engine), but ${message}; ` +
        "the output is from the daemon's engine\n",
    );
  });
}

Deno.test("DaemonCheck names the configuration, which a flag overrides", async () => {
  const { failure } = await check({ config: 'engine = "docker"\n' });
  assertMatch(failure?.message ?? "", /but engine in .*\/config\.toml names docker; /);
  const flags = { engine: "embedded" };
  assertEquals((await check({ config: 'engine = "docker"\n', flags })).failure, undefined);
  const env = { DOCKER_HOST: "unix:///x.sock" };
  assertEquals((await check({ config: 'engine = "embedded"\n', env })).failure, undefined);
});

const same: [name: string, setting: Setting][] = [
  ["the same kind", { flags: { engine: "docker" }, engines: [DOCKER] }],
  ["Podman behind Docker's default socket", {
    flags: { engine: "docker" },
    engines: [{ ...DOCKER, kind: "podman", socket: "/var/run/docker.sock" }],
  }],
  ["the same socket", { env: { DOCKER_HOST: "unix:///other/docker.sock" }, engines: [DOCKER] }],
  ["a kind that the daemon learns later", {
    flags: { engine: "embedded" },
    engines: [{ ...EMBEDDED, state: "connecting", kind: undefined }, EMBEDDED],
  }],
];

for (const [name, setting] of same) {
  Deno.test(`DaemonCheck accepts ${name}`, async () => {
    const { failure, stderr } = await check(setting);
    assertEquals([failure, stderr], [undefined, ""]);
  });
}

Deno.test("DaemonCheck resolves symbolic links to compare sockets", async () => {
  await using dir = await TempDir.make();
  await Deno.writeTextFile(dir.join("real"), "");
  await Deno.symlink(dir.join("real"), dir.join("link"));
  const env = { DOCKER_HOST: `unix://${dir.join("link")}` };
  const { failure } = await check({ env, engines: [{ ...DOCKER, socket: dir.join("real") }] });
  assertEquals(failure, undefined);
});

Deno.test("DaemonCheck sends no request when no engine is named", async () => {
  for (const setting of [{}, { flags: { engine: "auto" } }, { env: { DOCKER_HOST: "" } }]) {
    assertEquals(await check(setting), { failure: undefined, stderr: "", asked: 0 });
  }
});

Deno.test("DaemonCheck refuses a change, and warns once otherwise, when the name of the engine is invalid", async () => {
  const env = { DOCKER_HOST: "tcp://localhost:2375" };
  assertEquals((await check({ env })).failure?.code, "usage");
  const reading = await check({ env, isChange: false });
  assertEquals(reading.failure, undefined);
  assertMatch(reading.stderr, /^apex: DOCKER_HOST says "tcp:.*\n$/);
});

Deno.test("DaemonCheck warns once about another version, and refuses another protocol", async () => {
  const newer = await check({ version: "9.0.0" });
  assertEquals(newer.failure, undefined);
  assertEquals(
    newer.stderr,
    `apex: the daemon (pid 42) is apex 9.0.0, this is apex ${VERSION}; restart it with this version: apex restart\n`,
  );
  const { failure } = await check({ version: "9.0.0", protocol: 7, isChange: false });
  assertEquals(failure?.code, "protocol");
  assertStringIncludes(failure?.message ?? "", "speaks control protocol 7");
});

Deno.test("DaemonCheck prefers the version that the daemon reports to that in the lock file", async () => {
  const { failure, stderr } = await check({ recordedVersion: "0.0.1" });
  assertEquals([failure, stderr], [undefined, ""]);
});

Deno.test("DaemonCheck accepts that no daemon answers", async () => {
  await using dir = await TempDir.make();
  const context = testContext({
    stdout: new CapturedOutput(),
    env: (name) => ({ HOME: dir.path, APEX_RUNTIME_DIR: dir.path })[name],
  });
  await new DaemonCheck({ context, flags: { engine: "podman" }, isChange: true }).check(
    resolveSockets(context),
  );
});
