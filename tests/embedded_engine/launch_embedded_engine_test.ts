import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import { readLockHolder } from "../../src/embedded_engine/engine_lock.ts";
import { launchEmbeddedEngine } from "../../src/embedded_engine/launch_embedded_engine.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { isListenedOn } from "../../src/platform/unix_socket.ts";
import { APEX_COMMAND } from "../support/daemons/apex_process.ts";
import { TempDir } from "../support/temp_dir.ts";

/** Enough for fifty runtimes that start on a busy machine. */
const RACE_TIMEOUT_MS = 30_000;
const POLL_MS = 20;

/** A directory in which engines are launched. Disposal ends the engine that runs, and waits until all have exited. */
class LaunchPad implements AsyncDisposable {
  readonly #temp: TempDir;
  readonly dir: string;
  readonly socketPath: string;

  private constructor(temp: TempDir) {
    this.#temp = temp;
    this.dir = temp.join("e");
    this.socketPath = temp.join("e.sock");
  }

  static async make(): Promise<LaunchPad> {
    return new LaunchPad(await TempDir.make());
  }

  launch(): Promise<void> {
    const { dir, socketPath } = this;
    // launchEmbeddedEngine() does not return a pid, so each process writes its own to a file.
    const selfCommand = [
      "/bin/sh",
      "-c",
      `echo $$ >>${this.#temp.join("pids")}; exec "$0" "$@"`,
      ...APEX_COMMAND,
    ];
    return launchEmbeddedEngine({
      dir,
      socketPath,
      selfCommand,
      startTimeoutMs: RACE_TIMEOUT_MS,
    });
  }

  log(): Promise<string> {
    return Deno.readTextFile(`${this.dir}/engine.log`);
  }

  /** The pids of all processes that were launched. */
  async pids(): Promise<number[]> {
    return (await Deno.readTextFile(this.#temp.join("pids"))).trim().split("\n").map(Number);
  }

  async pid(): Promise<number> {
    return (await readLockHolder(`${this.dir}/lock`))!.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (await isListenedOn(this.socketPath)) Deno.kill(await this.pid(), "SIGTERM");
    // Until the runtime of this process, which launched them, has reaped them.
    for (const pid of await this.pids()) while (exists(pid)) await delay(POLL_MS);
    await this.#temp[Symbol.asyncDispose]();
  }
}

function exists(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT"); // Changes nothing for a process that is not stopped.
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test("launchEmbeddedEngine() starts an engine that logs, and starts none when one answers", async () => {
  await using pad = await LaunchPad.make();
  await pad.launch();
  const pid = await pad.pid();
  assert(pid !== Deno.pid);
  await pad.launch();
  assertEquals(await pad.pid(), pid);
  // It answers before it logs that.
  while (!(await pad.log()).includes("listening on")) await delay(POLL_MS);
  const lines = (await pad.log()).trimEnd().split("\n");
  assertMatch(lines[0]!, / \[warning\] apex: embedded engine: .* nothing is isolated$/);
  assertMatch(lines[1]!, / \[info\] apex: embedded engine: listening on \/tmp\//);
  assertEquals(lines.length, 2);
});

Deno.test("of fifty engines launched at once exactly one keeps running, and all launches find it", async () => {
  await using pad = await LaunchPad.make();
  await Promise.all(Array.from({ length: 50 }, () => pad.launch()));
  const deadline = Date.now() + RACE_TIMEOUT_MS;
  const count = async (text: string) => (await pad.log()).split(text).length - 1;
  // The launches end as soon as one engine answers. The other engines exit a little later.
  const losers = async () => (await pad.pids()).length - 1;
  while (await count("already runs at") < await losers() && Date.now() < deadline) await delay(POLL_MS);
  assert(await losers() > 0);
  assertEquals(await count("listening on"), 1);
  assertEquals(await count(`(pid ${await pad.pid()}) already runs at ${pad.socketPath}`), await losers());
});

Deno.test("launchEmbeddedEngine() rejects with the reason when an engine does not start", async () => {
  await using temp = await TempDir.make();
  const error = await assertRejects(
    () =>
      launchEmbeddedEngine({
        dir: temp.join("e"),
        socketPath: temp.join("e.sock"),
        selfCommand: ["/bin/sh", "-c", "echo no luck today >&2; exit 1"],
      }),
    ApexError,
    "ended with status 1",
  );
  assertEquals(error.code, "engine");
  assertMatch(error.message, /no luck today$/);
});
