/** `apex run -i`: standard input from a pipe to the command in the container, on each engine. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import { request } from "../../src/client/control_exchange.ts";
import type { TaskResult } from "../../src/protocol/task_operations.ts";
import { APEX_COMMAND, ApexHome, eventually } from "../support/daemons/apex_process.ts";
import { dockerAvailable, startDocker } from "../support/engines/docker_engine.ts";
import { podmanAvailable, startPodman } from "../support/engines/podman_engine.ts";
import { within } from "../support/within.ts";

type Kind = "embedded" | "docker" | "podman";

const ENGINES: readonly Kind[] = [
  "embedded",
  ...(await dockerAvailable() ? ["docker" as const] : []),
  ...(await podmanAvailable() ? ["podman" as const] : []),
];

interface Rig extends AsyncDisposable {
  readonly home: ApexHome;
  restartDaemon(how: Deno.Signal): Promise<void>;
  /** Starts `apex run` with this engine's options, and with a pipe as standard input. */
  run(args: readonly string[]): Deno.ChildProcess;
  taskOf(taskId: string): Promise<TaskResult | undefined>;
}

async function startRig(kind: Kind): Promise<Rig> {
  await using stack = new AsyncDisposableStack();
  const home = stack.use(await ApexHome.create());
  const docker = kind === "docker" ? stack.use(await startDocker()) : undefined;
  const podman = kind === "podman" ? stack.use(await startPodman()) : undefined;
  const engine = docker ?? podman;
  const daemonArgs = ["--engine", engine === undefined ? "embedded" : `unix://${engine.socketPath}`];
  let daemon = await home.startDaemon(daemonArgs);
  stack.defer(() => daemon[Symbol.asyncDispose]());
  const options = ["--image", podman?.imageId ?? "busybox:local", ...(engine ? ["--network", "none"] : [])];
  const [program, ...first] = APEX_COMMAND;
  const owned = stack.move();
  return {
    home,
    restartDaemon: async (how) => {
      daemon.kill(how);
      await daemon.finished();
      daemon = await home.startDaemon(daemonArgs);
    },
    run: (args) =>
      new Deno.Command(program!, {
        args: [...first, "run", ...options, ...args],
        env: home.env,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    taskOf: async (taskId) =>
      (await request(home.controlSocket, "tasks.list", { all: true })).tasks.find((task) =>
        task.taskId === taskId
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Writes the bytes to the child, until it has them all or exits. */
async function feed(child: Deno.ChildProcess, pieces: Iterable<Uint8Array>): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    for (const piece of pieces) await writer.write(piece);
    await writer.close();
  } catch {
    // The child has exited, as some of these tests intend.
    await writer.abort().catch(() => {});
  }
}

function* endless(): Generator<Uint8Array> {
  const lines = new TextEncoder().encode("y\n".repeat(8_192));
  while (true) yield lines;
}

function randomPieces(bytes: number): Uint8Array<ArrayBuffer>[] {
  const count = Math.ceil(bytes / 65_536);
  return Array.from({ length: count }, () => crypto.getRandomValues(new Uint8Array(65_536)));
}

async function sha256(pieces: readonly Uint8Array<ArrayBuffer>[]): Promise<string> {
  const bytes = await new Blob([...pieces]).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return encodeHex(digest);
}

/** Whether it has ended in time; kills it otherwise. */
function ended(child: Deno.ChildProcess): boolean {
  try {
    child.kill("SIGKILL");
    return false;
  } catch (error) {
    if (error instanceof TypeError) return true;
    throw error;
  }
}

const LIMIT_MS = 60_000;
/** Reads its input to the end, and exits with a status that shows it. */
const UNTIL_EOF = ["sh", "-c", "echo ready; cat >/dev/null; exit 7"];

for (const kind of ENGINES) {
  Deno.test(`apex run -i on ${kind}`, async (t) => {
    await using rig = await startRig(kind);

    // Podman 4.3 loses lines of a fast-growing log while it is followed, so there the command itself checks its input.
    const isExact = kind !== "podman";
    await t.step(`passes 10 MB ${isExact ? "through cat" : "in"}, byte for byte`, async () => {
      const pieces = randomPieces(10_000_000);
      const child = rig.run(["-i", "--", ...(isExact ? ["cat"] : ["busybox", "sha256sum"])]);
      const [output] = await within(LIMIT_MS, "the end", Promise.all([child.output(), feed(child, pieces)]));
      assertEquals([output.code, new TextDecoder().decode(output.stderr)], [0, ""]);
      const digest = await sha256(pieces);
      if (isExact) assertEquals(await sha256([new Uint8Array(output.stdout)]), digest);
      else assertEquals(new TextDecoder().decode(output.stdout), `${digest}  -\n`);
    });

    await t.step("ends an empty input at once", async () => {
      const child = rig.run(["-i", "--", "sh", "-c", "cat; echo end"]);
      const [output] = await within(LIMIT_MS, "the end", Promise.all([child.output(), feed(child, [])]));
      assertEquals([output.code, new TextDecoder().decode(output.stdout)], [0, "end\n"]);
    });

    await t.step("ends with a command that does not read to the end", async () => {
      const child = rig.run(["-i", "--", "head", "-n", "1"]);
      const [output] = await within(
        LIMIT_MS,
        "the end",
        Promise.all([child.output(), feed(child, endless())]),
      );
      assertEquals([output.code, new TextDecoder().decode(output.stdout)], [0, "y\n"]);
    });

    await t.step("fails with a command that does not exist", async () => {
      const child = rig.run(["-i", "--", "no-such-command"]);
      const [output] = await within(
        LIMIT_MS,
        "the end",
        Promise.all([child.output(), feed(child, endless())]),
      );
      assertEquals([output.code, output.stdout.length], [127, 0]);
    });

    await t.step("without -i the command has no input, and the client reads none", async () => {
      const child = rig.run(["--", "cat"]);
      const output = await within(LIMIT_MS, "the end", child.output());
      assertEquals([output.code, output.stdout.length, output.stderr.length], [0, 0, 0]);
      await child.stdin.abort().catch(() => {});
    });

    await t.step("ends the command's input when the client is killed", async () => {
      const child = rig.run(["-i", "--task", "left", "--", ...UNTIL_EOF]);
      const reader = child.stdout.getReader();
      await within(LIMIT_MS, "the command's start", reader.read());
      child.kill("SIGKILL");
      await eventually(async () => (await rig.taskOf("left"))?.exitCode === 7, "the command read the end");
      await reader.cancel();
      await Promise.all([child.status, child.stderr.cancel(), child.stdin.abort().catch(() => {})]);
    });

    await t.step("ends the command's input when the daemon is killed", async () => {
      const child = rig.run(["-i", "-D", "--task", "orphan", "--", ...UNTIL_EOF]);
      const reader = child.stdout.getReader();
      await within(LIMIT_MS, "the command's start", reader.read());
      await rig.restartDaemon("SIGKILL");
      await eventually(async () => (await rig.taskOf("orphan"))?.exitCode === 7, "the command read the end");
      // The client may have exited already, because it has lost its daemon.
      await eventually(() => ended(child), "the client has ended or was ended");
      await reader.cancel();
      await Promise.all([child.status, child.stderr.cancel(), child.stdin.abort().catch(() => {})]);
    });
  });
}

Deno.test("apex run -i blocks its writer while the command does not read", async () => {
  await using rig = await startRig("embedded");
  const child = rig.run(["-i", "--task", "deaf", "--", "sleep", "600"]);
  const writer = child.stdin.getWriter();
  let written = 0;
  const writing = (async () => {
    for (const piece of endless()) {
      await writer.write(piece);
      written += piece.length;
    }
  })();
  writing.catch(() => {});
  let before = -1;
  await eventually(async () => {
    const isStill = written > 0 && written === before && (await rig.taskOf("deaf"))?.state === "running";
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 500));
    return isStill;
  }, "the writer is held up");
  assertLess(written, 4 * 1024 * 1024);
  const cancelled = await rig.home.apex(["cancel", "deaf"]);
  assertEquals(cancelled.code, 0);
  const output = await within(LIMIT_MS, "the end", child.output());
  assert(output.code !== 0);
  await writer.abort().catch(() => {});
});
