import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { startDaemon } from "../../src/client/start_daemon.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { StartedDaemons } from "../support/daemons/started_daemons.ts";

const FLAGS = ["--engine", "embedded"];

function optionsIn(daemons: StartedDaemons) {
  return { selfCommand: daemons.command(), flags: FLAGS, paths: daemons.paths };
}

/** The sixth field of `/proc/PID/stat`. */
async function sessionOf(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3]);
}

Deno.test("startDaemon() returns the same daemon to concurrent callers, in a session of its own", async () => {
  await using daemons = await StartedDaemons.make();
  const started = await Promise.all(Array.from({ length: 4 }, () => startDaemon(optionsIn(daemons))));
  const [{ pid, logPath } = { pid: 0, logPath: "" }] = started;
  assertEquals(new Set(started.map((daemon) => daemon.pid)), new Set([pid]));
  assertEquals(started.filter(({ isOurs }) => isOurs).length, 1);
  await daemons.untilAlone(pid);
  assertEquals(await sessionOf(pid), pid);
  assertEquals(await Deno.readLink(`/proc/${pid}/cwd`), "/");
  assertMatch(await Deno.readTextFile(logPath), /listening on /);
  assertEquals((await Deno.stat(logPath)).mode! & 0o777, 0o600);
});

Deno.test("startDaemon() returns the daemon that runs already, as not its own", async () => {
  await using daemons = await StartedDaemons.make();
  const first = await startDaemon(optionsIn(daemons));
  assert(first.isOurs);
  assertEquals(await startDaemon(optionsIn(daemons)), { ...first, isOurs: false });
});

Deno.test("startDaemon() shows the log of a daemon that ended at once, without earlier logs", async () => {
  await using daemons = await StartedDaemons.make();
  await Deno.mkdir(`${daemons.home.dir}/state`, { mode: 0o700 });
  await Deno.writeTextFile(`${daemons.home.dir}/state/daemon.log`, "of yesterday\n");
  const options = { ...optionsIn(daemons), flags: ["--config", "/no/such.toml"] };
  const error = await assertRejects(() => startDaemon(options), ApexError);
  assertEquals(error.code, "failed");
  assertMatch(
    error.message,
    /^cannot start a daemon: it ended with status 2 \(log: .*\/state\/daemon\.log\):\napex: cannot read the configuration/,
  );
  assert(!error.message.includes("yesterday"));
});

Deno.test("startDaemon() fails if the daemon does not answer", async () => {
  await using daemons = await StartedDaemons.make();
  const options = {
    ...optionsIn(daemons),
    // It ends by itself, so that nothing is left behind.
    selfCommand: daemons.command(["/bin/sh", "-c", "echo hello; sleep 1"]),
    timeoutMs: 200,
  };
  const error = await assertRejects(() => startDaemon(options), ApexError);
  assertMatch(
    error.message,
    /^cannot start a daemon: it does not answer \(no daemon is running.*\) \(log: .*\):\nhello$/,
  );
});

Deno.test("startDaemon() reports that the state directory belongs to a daemon on another socket", async () => {
  await using daemons = await StartedDaemons.make();
  await startDaemon(optionsIn(daemons));
  const elsewhere = `${daemons.home.dir}/elsewhere`;
  await Deno.mkdir(elsewhere, { mode: 0o700 });
  const options = {
    ...optionsIn(daemons),
    flags: [...FLAGS, "--socket", `${elsewhere}/apex.socket`],
    paths: { ...daemons.paths, controlSocket: `${elsewhere}/apex.socket` },
  };
  const error = await assertRejects(() => startDaemon(options), ApexError);
  assertMatch(
    error.message,
    /another daemon is in its way .*a daemon is already running \(pid \d+, socket .*\/run\/apex\.socket\)/s,
  );
});

Deno.test("startDaemon() refuses a state directory that other users can write to", async () => {
  await using daemons = await StartedDaemons.make();
  await Deno.mkdir(`${daemons.home.dir}/state`);
  await Deno.chmod(`${daemons.home.dir}/state`, 0o777);
  await assertRejects(() => startDaemon(optionsIn(daemons)), ApexError, "refusing to use");
});
