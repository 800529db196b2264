/**
 * The daemon is killed at random moments while clients run tasks. Each client prints every byte of its task's output once, on
 * the right stream, and exits with the task's status.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import type { CliContext } from "../../src/cli/cli_context.ts";
import { logs, type LogsFlags } from "../../src/cli/commands/logs.ts";
import { run } from "../../src/cli/commands/run.ts";
import { wait } from "../../src/cli/commands/wait.ts";
import { StatusError } from "../../src/cli/output/exit_status.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { resolveSockets } from "../../src/platform/directories.ts";
import { ApexHome, type ApexProcess, eventually } from "../support/daemons/apex_process.ts";
import { CapturedOutput, testContext } from "../support/daemons/cli_context.ts";
import { ContainerDriver } from "../support/engines/container_driver.ts";
import { TEST_ENGINES } from "../support/engines/test_engines.ts";
import { TempDir } from "../support/temp_dir.ts";
import { within } from "../support/within.ts";

const ROUNDS: Readonly<Record<string, number>> = { "the embedded engine": 50, "dockerd": 5 };

/** The latest moment of a kill after the start of the clients; their tasks write for about half of this time. */
const KILLED_WITHIN_MS = 800;
const TASKS_A_ROUND = 2;
const LINES = 400;
const FOLLOWED_EXIT_CODE = 9;

/** The output of a client, and its exit status. */
interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The directories of several consecutive daemons on one engine. */
class Rig {
  readonly home: ApexHome;
  readonly #socketPath: string;
  daemon: ApexProcess | undefined;

  constructor(home: ApexHome, socketPath: string) {
    this.home = home;
    this.#socketPath = socketPath;
  }

  async startDaemon(): Promise<void> {
    this.daemon = await this.home.startDaemon(["--engine", `unix://${this.#socketPath}`]);
  }

  async endDaemon(signal: Deno.Signal): Promise<void> {
    this.daemon?.kill(signal);
    await this.daemon?.[Symbol.asyncDispose]();
    this.daemon = undefined;
  }

  /** `apex run`, in this process. */
  run(taskId: string, script: string, { detach }: { readonly detach?: true } = {}): Promise<Ended> {
    const flags = { task: taskId, network: "none", image: "busybox:local", daemonize: false, detach };
    return this.#client(
      `the end of ${taskId}`,
      (context) => run(context, { flags, command: ["sh", "-c", script] }),
    );
  }

  /** `apex logs --follow`, in this process. */
  logs(target: string, flags: LogsFlags): Promise<Ended> {
    const follow = async (context: CliContext) => {
      await logs(context, { sockets: resolveSockets(context), target, flags: { ...flags, follow: true } });
      return 0;
    };
    return this.#client(`the end of the log of ${target}`, follow);
  }

  /** `apex wait`, in this process. */
  wait(target: string): Promise<Ended> {
    return this.#client(
      `the end of the wait for ${target}`,
      (context) => wait(context, { sockets: resolveSockets(context), targets: [target], flags: {} }),
    );
  }

  async #client(what: string, verb: (context: CliContext) => Promise<number>): Promise<Ended> {
    while (true) {
      const [stdout, stderr] = [new CapturedOutput(), new CapturedOutput()];
      const context = testContext({ stdout, stderr, env: (name) => this.home.env[name] });
      try {
        const status = await within(60_000, what, verb(context));
        return { status, stdout: stdout.text, stderr: stderr.text };
      } catch (error) {
        // The client was started between two daemons, and may not start one itself.
        if (!hasNoDaemon(error) || stderr.text !== "") throw error;
        await delay(20);
      }
    }
  }
}

function hasNoDaemon(error: unknown): boolean {
  const reason = error instanceof StatusError ? error.cause : error;
  return reason instanceof ApexError && reason.code === "no_daemon";
}

/** Writes lines to both streams at varying speed, and exits with this code. */
function script(id: string, exitCode: number): string {
  return `i=0; while [ $i -lt ${LINES} ]; do echo ${id} out $i; echo ${id} err $i >&2; i=$((i+1)); ` +
    `[ $((i % 50)) = 0 ] && sleep 0.04; done; exit ${exitCode}`;
}

function lines(id: string, stream: string): string {
  return Array.from({ length: LINES }, (_, i) => `${id} ${stream} ${i}\n`).join("");
}

/** Standard error without the messages of apex. */
function ofTask(stderr: string): string {
  return stderr.replaceAll(/^apex: .*\n/gm, "");
}

interface Checked {
  readonly id: string;
  /** For messages of failed assertions. */
  readonly what: string;
}

/** Checks that `apex run` prints every byte of its task, and returns its status. */
async function checkRun(
  rig: Rig,
  { id, exitCode, what }: Checked & { readonly exitCode: number },
): Promise<void> {
  const { status, stdout, stderr } = await rig.run(id, script(id, exitCode));
  const where = `run ${id}, ${what}: ${stderr.match(/^apex: .*$/gm)}`;
  assertEquals(stdout, lines(id, "out"), where);
  assertEquals(ofTask(stderr), lines(id, "err"), where);
  assertEquals(status, exitCode, where);
  assertEquals(stderr.includes("missing"), false, where);
}

/** Checks that `apex logs -f` prints every byte of a task from its start, and `apex wait` returns its status. */
async function checkFollowed(rig: Rig, { id, what }: Checked): Promise<void> {
  assertEquals((await rig.run(id, script(id, FOLLOWED_EXIT_CODE), { detach: true })).stdout, `${id}\n`, what);
  const check = async (flags: LogsFlags): Promise<void> => {
    const { stdout, stderr } = await rig.logs(id, flags);
    const where = `logs ${JSON.stringify(flags)} of ${id}, ${what}: ${stderr.match(/^apex: .*$/gm)}`;
    if (flags.tail === undefined) {
      assertEquals(stdout, lines(id, "out"), where);
      assertEquals(ofTask(stderr), lines(id, "err"), where);
    } else {
      assertEquals(lines(id, "out").endsWith(stdout), true, `${where}; ${JSON.stringify(stdout)}`);
      assertEquals(lines(id, "err").endsWith(ofTask(stderr)), true, `${where}; ${JSON.stringify(stderr)}`);
    }
  };
  const waited = async (): Promise<void> => {
    const { status, stderr } = await rig.wait(id);
    assertEquals(status, FOLLOWED_EXIT_CODE, `wait for ${id}, ${what}: ${stderr}`);
  };
  await Promise.all([check({}), check({ tail: "7" }), check({ tail: "0" }), waited()]);
}

for (const { name, ignore, start } of TEST_ENGINES) {
  const rounds = ROUNDS[name]!;
  Deno.test({
    name:
      `apex run, logs -f and wait survive ${rounds} kills of the daemon on ${name} without losing or repeating a byte`,
    ignore,
    fn: async () => {
      await using dir = await TempDir.make();
      await using engine = await start(dir);
      using driver = new ContainerDriver(engine.socketPath);
      await using home = await ApexHome.create();
      const rig = new Rig(home, engine.socketPath);
      await using _ = { [Symbol.asyncDispose]: () => rig.endDaemon("SIGTERM") };
      await rig.startDaemon();
      for (let round = 0; round < rounds; round++) {
        const killedAfterMs = Math.round(Math.random() * KILLED_WITHIN_MS);
        const what = `round ${round}, killed after ${killedAfterMs} ms`;
        const clients = [
          ...Array.from(
            { length: TASKS_A_ROUND },
            (_, n) => checkRun(rig, { id: `r${round}t${n}`, exitCode: n + 3, what }),
          ),
          checkFollowed(rig, { id: `r${round}f`, what }),
        ];
        // Awaited below; until then a rejection must not count as unhandled.
        for (const each of clients) each.catch(() => {});
        await delay(killedAfterMs);
        await rig.endDaemon("SIGKILL");
        await rig.startDaemon();
        await Promise.all(clients);
      }
      await eventually(
        async () => (await driver.client.listContainers()).length === 0,
        "the containers of all tasks are removed",
        // A daemon that was killed right after the last frame may keep a container for a while.
        { limitMs: 45_000 },
      );
    },
  });
}

Deno.test("apex run starts another daemon on the same engine when it has lost its own and no other one comes", async () => {
  await using home = await ApexHome.create();
  await home.startDaemon(["--engine", "embedded"]);
  const pid = async (): Promise<number | undefined> => {
    const { code, stdout } = await home.apex(["status", "--json"]);
    return code === 0 ? JSON.parse(stdout).pid : undefined;
  };
  const before = await pid();
  const command = `echo one; until [ -e ${home.dir}/go ]; do sleep 0.02; done; echo two; exit 9`;
  // Without --engine, a new daemon would look for Docker.
  await using running = home.spawn(["run", "--task", "t1", "--", "sh", "-c", command]);
  await eventually(() => running.stdoutSoFar === "one\n", "the task runs");
  Deno.kill(before!, "SIGTERM");
  let after: number | undefined;
  await eventually(
    async () => (after = await pid()) !== undefined && after !== before,
    "another daemon runs",
  );
  await Deno.writeTextFile(`${home.dir}/go`, "");
  const { code, stdout, stderr } = await running.finished();
  assertEquals([code, stdout], [9, "one\ntwo\n"]);
  assertMatch(
    stderr,
    /^apex: lost the daemon; task t1 continues; .*\napex: started a daemon \(pid \d+; .*\napex: reconnected\n$/,
  );
});
