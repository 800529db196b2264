import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { DaemonFlags } from "../../../src/cli/args/daemon_flags.ts";
import { withDaemon } from "../../../src/cli/connection/with_daemon.ts";
import { connect } from "../../../src/client/connect.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { APEX_COMMAND } from "../../support/daemons/apex_process.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { StartedDaemons } from "../../support/daemons/started_daemons.ts";

/** A context in a temporary home, with `command` as apex. */
function contextIn(daemons: StartedDaemons, command: readonly string[]) {
  const { home } = daemons;
  const variables: Record<string, string> = { ...home.env, HOME: home.dir };
  return testContext({
    stdout: new CapturedOutput(),
    stderr: new CapturedOutput(),
    cwd: home.dir,
    env: (name) => variables[name],
    selfCommand: daemons.command(command),
  });
}

/** Prints its arguments, and fails. */
const PRINTS_ARGUMENTS = ["/bin/sh", "-c", 'echo "started with: $*"; exit 9', "sh"];

async function failureOf(daemons: StartedDaemons, flags: DaemonFlags): Promise<ApexError> {
  const context = contextIn(daemons, PRINTS_ARGUMENTS);
  const connects = () => withDaemon(({ controlSocket }) => connect(controlSocket), { context, flags });
  return await assertRejects(connects, ApexError);
}

Deno.test("withDaemon() starts a daemon if none runs, reports it on stderr, and connects to it", async () => {
  await using daemons = await StartedDaemons.make();
  const context = contextIn(daemons, APEX_COMMAND);
  const flags: DaemonFlags = { engine: "embedded" };
  using _first = await withDaemon(({ controlSocket }) => connect(controlSocket), { context, flags });
  const stderr = context.stderr as CapturedOutput;
  assertMatch(stderr.text, /^apex: started a daemon \(pid \d+; log: .*\/state\/daemon\.log\)\n$/);
  const before = stderr.text;
  using _second = await withDaemon(({ eventsSocket }) => connect(eventsSocket), { context, flags });
  assertEquals(stderr.text, before);
});

Deno.test("withDaemon() passes the options on, with absolute paths", async () => {
  await using daemons = await StartedDaemons.make();
  const { home } = daemons;
  await Deno.writeTextFile(`${home.dir}/c.toml`, "");
  const flags: DaemonFlags = { socket: "s/apex.socket", config: "c.toml", verbose: true, engine: "docker" };
  assertStringIncludes(
    (await failureOf(daemons, flags)).message,
    `started with: daemon --socket ${home.dir}/s/apex.socket --config ${home.dir}/c.toml --log-level debug --engine docker`,
  );
  assertMatch(
    (await failureOf(daemons, { logLevel: "warn" })).message,
    /started with: daemon --log-level warn --background-log \/\S+$/,
  );
  assertMatch((await failureOf(daemons, {})).message, /started with: daemon --background-log \/\S+$/);
});

Deno.test("withDaemon() starts no daemon if the command line, or else the configuration, forbids it", async () => {
  await using daemons = await StartedDaemons.make();
  const { home } = daemons;
  assertEquals((await failureOf(daemons, { daemonize: false })).code, "no_daemon");
  await home.configure("daemonize = false\n");
  assertEquals((await failureOf(daemons, {})).code, "no_daemon");
  assertStringIncludes((await failureOf(daemons, { daemonize: true })).message, "started with: daemon");
});

Deno.test("withDaemon() reports an invalid configuration only if it is needed", async () => {
  await using daemons = await StartedDaemons.make();
  const { home } = daemons;
  await home.configure('max_subscribers = "x"\n');
  assertMatch((await failureOf(daemons, {})).message, /max_subscribers must be/);
  assertEquals((await failureOf(daemons, { daemonize: false })).code, "no_daemon");
});

Deno.test("withDaemon() starts no daemon after another failure than no_daemon", async () => {
  await using daemons = await StartedDaemons.make();
  const context = contextIn(daemons, PRINTS_ARGUMENTS);
  const failing = () => Promise.reject(new ApexError("busy", "too many"));
  await assertRejects(() => withDaemon(failing, { context, flags: {} }), ApexError, "too many");
});
