import { assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import type { VerbSignal } from "../../../src/cli/cli_context.ts";
import { run, type RunFlags } from "../../../src/cli/commands/run.ts";
import { StatusError } from "../../../src/cli/output/exit_status.ts";
import { type Input, OutputClosedError } from "../../../src/cli/standard_streams.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import type { ControlOp } from "../../../src/protocol/operations.ts";
import { FrameReader } from "../../../src/protocol/frames.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import {
  type OpScript,
  type ScriptedConnection,
  ScriptedDaemon,
} from "../../support/daemons/scripted_daemon.ts";
import { taskResult } from "../../support/daemons/task_result.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { within } from "../../support/within.ts";

interface RunOptions {
  readonly command?: readonly string[];
  readonly stdout?: CapturedOutput;
  readonly stdin?: Input;
}

/** `apex run` with a scripted daemon, and signals sent by the test. */
class RunRig implements AsyncDisposable {
  readonly daemon: ScriptedDaemon;
  readonly stdout = new CapturedOutput();
  readonly stderr: CapturedOutput;
  readonly #dir: TempDir;
  readonly #listeners = new Map<VerbSignal, () => void>();

  private constructor(dir: TempDir, scripts: Partial<Record<ControlOp, OpScript>>, isTerminal: boolean) {
    this.#dir = dir;
    this.stderr = new CapturedOutput({ isTerminal });
    this.daemon = new ScriptedDaemon(dir.join("apex.socket"), scripts);
  }

  static async start(
    scripts: Partial<Record<ControlOp, OpScript>>,
    { isTerminal = false } = {},
  ): Promise<RunRig> {
    return new RunRig(await TempDir.make(), scripts, isTerminal);
  }

  run(
    flags: RunFlags = {},
    { command = ["true"], stdout = this.stdout, stdin }: RunOptions = {},
  ): Promise<number> {
    const context = testContext({
      ...(stdin && { stdin }),
      stdout,
      stderr: this.stderr,
      cwd: "/project",
      onSignal: (name, listener) => {
        this.#listeners.set(name, listener);
        return () => void this.#listeners.delete(name);
      },
    });
    return within(
      20_000,
      "the end of run",
      run(context, {
        flags: { socket: this.#dir.join("apex.socket"), ...flags },
        command,
      }),
    );
  }

  signal(name: VerbSignal): void {
    const listener = this.#listeners.get(name);
    if (listener === undefined) throw new Error(`no listener for ${name}`);
    listener();
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** The daemon accepts the task, and then does what `work` does. */
function accepting(work: (connection: ScriptedConnection) => Promise<void>): OpScript {
  return async (connection) => {
    await connection.reply({ taskId: "t1" });
    await work(connection);
  };
}

const STARTED = { taskId: "t1", containerId: "c" };

/** How `run` failed: its status and message. */
async function failureOf(run: Promise<number>): Promise<{ status: number; message: string }> {
  const error = await assertRejects(() => run, StatusError);
  assertInstanceOf(error.cause, Error);
  return { status: error.exitStatus, message: error.cause.message };
}

Deno.test("run() keeps stdout and stderr apart, and returns the exit status", async () => {
  await using rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      await connection.frame("started", STARTED);
      await connection.frame("data", "one\n");
      await connection.frame("stderr", "problem\n");
      await connection.frame("data", "two\n");
      await connection.frame("exit", { task: taskResult({ state: "failed", exitCode: 3 }) });
    }),
  });
  assertEquals(await rig.run(), 3);
  assertEquals([rig.stdout.text, rig.stderr.text], ["one\ntwo\n", "problem\n"]);
  assertEquals(rig.listeners, 0);
});

Deno.test("run() requests the task that the flags describe", async () => {
  await using rig = await RunRig.start({
    "tasks.run": accepting((connection) => connection.frame("exit", { task: taskResult() })),
  });
  await rig.run({ task: "t1", memory: "512m", mount: true, env: ["A=b=c"] }, { command: ["sh", "-c", "x"] });
  assertEquals((await rig.daemon.received("tasks.run")).task, {
    taskId: "t1",
    cmd: ["sh", "-c", "x"],
    env: { A: "b=c" },
    memoryBytes: 512 * 1024 * 1024,
    projectDir: "/project",
  });
});

Deno.test("run() reports why a task could not be started, and returns 125", async () => {
  await using rig = await RunRig.start({
    "tasks.run": accepting((connection) =>
      connection.frame("exit", {
        task: taskResult({ state: "failed", reason: "error", error: "no such image" }),
      })
    ),
  });
  assertEquals(await rig.run({ detach: true }), 125);
  assertEquals([rig.stdout.text, rig.stderr.text], ["", "apex: task t1 failed: no such image\n"]);
});

Deno.test("run() fails with 125 for a refusal by the daemon, and for invalid flags", async () => {
  await using rig = await RunRig.start({
    "tasks.run": (connection) => connection.refuse("conflict", 'task "t1" runs already'),
  });
  assertEquals(await failureOf(rig.run()), { status: 125, message: 'task "t1" runs already' });
  assertEquals((await failureOf(rig.run({ memory: "12x" }))).status, 125);
  assertEquals(rig.daemon.requests.length, 1);
  assertEquals(rig.listeners, 0);
});

Deno.test("run() fails with 125 when no daemon runs and none may be started", async () => {
  await using rig = await RunRig.start({});
  const failed = await failureOf(rig.run({ socket: "/tmp/apx-no-such/apex.socket", daemonize: false }));
  assertEquals(failed.status, 125);
  assertMatch(failed.message, /^no daemon is running/);
});

Deno.test("run() resumes the same task, at the byte where it lost the daemon", async () => {
  await using rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      await connection.frame("started", STARTED);
      await connection.frame("data", "one ");
      await connection.frame("stderr", "err");
    }),
    "tasks.wait": async (connection) => {
      await connection.reply({ taskId: "t1" });
      await connection.frame("started", STARTED);
      await connection.frame("data", "two");
      await connection.frame("exit", { task: taskResult({ state: "failed", exitCode: 9 }) });
    },
  });
  assertEquals(await rig.run({ task: "t1" }), 9);
  assertEquals(rig.stdout.text, "one two");
  assertEquals(
    rig.stderr.text,
    "errapex: lost the daemon; task t1 continues; waiting 30 s for a daemon (Ctrl-C gives up)\n" +
      "apex: reconnected\n",
  );
  const { requestId } = await rig.daemon.received("tasks.run");
  assertEquals(await rig.daemon.received("tasks.wait"), {
    v: 1,
    op: "tasks.wait",
    task: "t1",
    ...(requestId !== undefined && { requestId }),
    output: { stdout: 4, stderr: 3 },
  });
  assertEquals([typeof requestId, rig.listeners], ["string", 0]);
});

Deno.test("run() repeats its request when it loses the daemon before the reply", async () => {
  let times = 0;
  await using rig = await RunRig.start({
    "tasks.run": async (connection) => {
      if (++times < 3) return;
      await connection.reply({ taskId: "t1" });
      await connection.frame("exit", { task: taskResult() });
    },
  });
  assertEquals(await rig.run(), 0);
  const asked = rig.daemon.requests.map((request) => JSON.stringify(request));
  assertEquals([asked.length, new Set(asked).size], [3, 1]);
});

Deno.test("run() fails with 125 when the next daemon does not know its task", async () => {
  await using rig = await RunRig.start({
    "tasks.run": accepting((connection) => connection.frame("started", STARTED)),
    "tasks.wait": (connection) => connection.refuse("not_found", 'no such task: "t1"'),
  });
  const { status, message } = await failureOf(rig.run());
  assertEquals(status, 125);
  assertEquals(
    message,
    'cannot resume after losing the daemon: no such task: "t1"; task t1 continues (see: apex wait t1)',
  );
});

Deno.test("run() fails with 130 on Ctrl-C while no daemon is connected", async () => {
  const rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      await connection.frame("started", STARTED);
      await connection.frame("data", "running");
      await rig.daemon.close();
    }),
  });
  await using _ = rig;
  const failure = failureOf(rig.run({ daemonize: false }));
  await rig.stderr.until("waiting 30 s");
  rig.signal("SIGINT");
  assertEquals(await failure, {
    status: 130,
    message: "interrupted; task t1 continues (see: apex wait t1)",
  });
  assertEquals([rig.stdout.text, rig.listeners], ["running", 0]);
});

Deno.test("run() with --detach prints the id when the task runs or is pending, and returns", async () => {
  for (const [kind, payload] of [["started", STARTED], ["pending", { ahead: 2 }]] as const) {
    await using rig = await RunRig.start({
      "tasks.run": accepting(async (connection) => {
        await connection.frame(kind, payload);
        await connection.hungUp();
      }),
    });
    assertEquals(await rig.run({ detach: true }), 0);
    assertEquals([rig.stdout.text, rig.stderr.text], ["t1\n", ""]);
  }
});

Deno.test("run() reports a pending task", async () => {
  await using rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      await connection.frame("pending", { ahead: 2 });
      await connection.frame("started", STARTED);
      await connection.frame("exit", { task: taskResult() });
    }),
  });
  assertEquals(await rig.run(), 0);
  assertEquals(rig.stderr.text, "apex: task t1 is pending (2 ahead of it)\n");
});

Deno.test("run() erases the progress of a pull before the task's output", async () => {
  await using rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      await connection.frame("progress", { image: "i", status: "Pulling from library/i" });
      await connection.frame("started", STARTED);
      await connection.frame("stderr", "hello\n");
      await connection.frame("exit", { task: taskResult() });
    }),
  }, { isTerminal: true });
  assertEquals(await rig.run(), 0);
  assertEquals(rig.stderr.text, "\r\x1b[Kapex: pulling i Pulling from library/i\r\x1b[Khello\n");
});

Deno.test("run() forwards signals, and kills the task with the second SIGINT", async () => {
  const killed = Promise.withResolvers<void>();
  const sent: string[] = [];
  await using rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      await connection.frame("started", STARTED);
      await connection.frame("data", "running\n");
      await killed.promise;
      await connection.frame("exit", {
        task: taskResult({ state: "failed", reason: "signal", exitCode: 137 }),
      });
    }),
    "tasks.signal": async (connection, request) => {
      if (request.op === "tasks.signal") sent.push(`${request.task} ${request.signal}`);
      await connection.reply({});
      if (sent.at(-1) === "t1 SIGKILL") killed.resolve();
    },
  });
  const status = rig.run();
  await rig.stdout.until("running");
  for (const [before, name] of (["SIGTERM", "SIGINT", "SIGINT"] as const).entries()) {
    rig.signal(name);
    await rig.daemon.received("tasks.signal", before + 1);
  }
  assertEquals(await status, 137);
  assertEquals(sent, ["t1 SIGTERM", "t1 SIGINT", "t1 SIGKILL"]);
  assertEquals([rig.stderr.text, rig.listeners], ["", 0]);
});

Deno.test("run() explains at a terminal what the next Ctrl-C does", async () => {
  const ended = Promise.withResolvers<void>();
  await using rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      await connection.frame("started", STARTED);
      await connection.frame("data", "running\n");
      await ended.promise;
      await connection.frame("exit", { task: taskResult() });
    }),
    "tasks.signal": (connection) => connection.reply({}),
  }, { isTerminal: true });
  const status = rig.run();
  await rig.stdout.until("running");
  rig.signal("SIGTERM");
  await rig.daemon.received("tasks.signal");
  rig.signal("SIGINT");
  await rig.stderr.until("kill it\n");
  ended.resolve();
  assertEquals(await status, 0);
  assertEquals(
    rig.stderr.text.replaceAll("\r\x1b[K", ""),
    "apex: sent SIGINT to the command; press Ctrl-C again to kill it\n",
  );
});

/** Standard input that contains `text`, read in pieces of at most `pieceBytes`. */
function pipeOf(text: string, pieceBytes = 4): { stdin: Input; isRead: () => boolean } {
  let rest = new TextEncoder().encode(text);
  let isRead = false;
  const stdin: Input = {
    isTerminal: false,
    isPiped: () => Promise.resolve(true),
    read: (buffer) => {
      isRead = true;
      if (rest.length === 0) return Promise.resolve(null);
      const piece = rest.subarray(0, pieceBytes);
      buffer.set(piece);
      rest = rest.subarray(piece.length);
      return Promise.resolve(piece.length);
    },
    readLine: () => Promise.resolve(null),
  };
  return { stdin, isRead: () => isRead };
}

Deno.test("run() with -i sends its input piece by piece, and then its end", async () => {
  const frames: string[] = [];
  await using rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      const reader = new FrameReader(connection.conn);
      while (frames.at(-1) !== "eof ") {
        const { kind, payload } = (await reader.next())!;
        frames.push(`${kind} ${new TextDecoder().decode(payload)}`);
      }
      await connection.frame("exit", { task: taskResult() });
    }),
  });
  assertEquals(await rig.run({ interactive: true }, pipeOf("input!")), 0);
  assertEquals(frames, ["data inpu", "data t!", "eof "]);
  assertEquals((await rig.daemon.received("tasks.run")).task.stdin, true);
});

Deno.test("run() without -i reads no input, and notes that at a terminal if the command printed nothing", async () => {
  const hint = "apex: standard input was not passed to the command (to do that, use apex run -i)\n";
  const cases = [
    { isTerminal: true, output: "", message: hint },
    { isTerminal: true, output: "0\n", message: "" },
    { isTerminal: false, output: "", message: "" },
  ];
  for (const { isTerminal, output, message } of cases) {
    await using rig = await RunRig.start({
      "tasks.run": accepting(async (connection) => {
        await connection.frame("started", STARTED);
        if (output !== "") await connection.frame("data", output);
        await connection.frame("exit", { task: taskResult() });
      }),
    }, { isTerminal });
    const { stdin, isRead } = pipeOf("x\n");
    assertEquals(await rig.run({}, { stdin }), 0);
    assertEquals([rig.stderr.text.replaceAll("\r\x1b[K", ""), isRead()], [message, false]);
  }
});

Deno.test("run() fails with 130 at the third SIGINT, and reports that the task may continue", async () => {
  await using rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      await connection.frame("started", STARTED);
      await connection.frame("data", "running\n");
      await connection.hungUp();
    }),
    "tasks.signal": (connection) => connection.hungUp(),
  });
  const failed = failureOf(rig.run());
  await rig.stdout.until("running");
  for (let times = 0; times < 3; times++) rig.signal("SIGINT");
  assertEquals(await failed, {
    status: 130,
    message: "interrupted; task t1 may continue (see: apex wait t1)",
  });
});

Deno.test("run() cancels a pending task on a signal", async () => {
  const ended = Promise.withResolvers<void>();
  await using rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      await connection.frame("pending", { ahead: 0 });
      await ended.promise;
      const { exitCode: _, ...task } = taskResult({ state: "cancelled" });
      await connection.frame("exit", { task });
    }),
    "tasks.cancel": async (connection) => {
      await connection.reply({ task: taskResult({ state: "cancelled" }) });
      ended.resolve();
    },
  });
  const status = rig.run();
  await rig.stderr.until("is pending");
  rig.signal("SIGINT");
  assertEquals(await status, 130);
  assertEquals((await rig.daemon.received("tasks.cancel")).task, "t1");
});

Deno.test("run() cancels a task if a signal came before the daemon accepted it", async () => {
  const interrupted = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  await using rig = await RunRig.start({
    "tasks.run": async (connection) => {
      await interrupted.promise;
      await connection.reply({ taskId: "t1" });
      await ended.promise;
      await connection.frame("exit", { task: taskResult({ state: "cancelled", exitCode: 143 }) });
    },
    "tasks.cancel": async (connection) => {
      await connection.reply({ task: taskResult({ state: "cancelled" }) });
      ended.resolve();
    },
  });
  const status = rig.run();
  await rig.daemon.received("tasks.run");
  rig.signal("SIGTERM");
  interrupted.resolve();
  assertEquals(await status, 143);
});

Deno.test("run() reports a signal that could not be sent, unless the task has ended", async () => {
  const refused = Promise.withResolvers<void>();
  await using rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      await connection.frame("started", STARTED);
      await connection.frame("data", "running\n");
      await refused.promise;
      await connection.frame("exit", { task: taskResult() });
    }),
    "tasks.signal": async (connection, request) => {
      const isFirst = request.op === "tasks.signal" && request.signal === "SIGTERM";
      await connection.refuse(isFirst ? "engine" : "conflict", "it cannot be done");
      if (!isFirst) refused.resolve();
    },
  });
  const status = rig.run();
  await rig.stdout.until("running");
  rig.signal("SIGTERM");
  await rig.stderr.until("it cannot");
  rig.signal("SIGINT");
  assertEquals(await status, 0);
  assertEquals(rig.stderr.text, "apex: cannot send SIGTERM to task t1: it cannot be done\n");
});

Deno.test("run() fails with 141 when the reader closes its output; the task continues", async () => {
  class ClosedOutput extends CapturedOutput {
    override relay(): Promise<void> {
      return Promise.reject(new OutputClosedError("closed"));
    }
  }
  await using rig = await RunRig.start({
    "tasks.run": accepting(async (connection) => {
      await connection.frame("started", STARTED);
      await connection.frame("data", "hello\n");
      await connection.hungUp();
    }),
  });
  const { status, message } = await failureOf(rig.run({}, { stdout: new ClosedOutput(), command: ["yes"] }));
  assertEquals(status, 141);
  assertMatch(message, /the task continues/);
  assertEquals(rig.daemon.requests.map(({ op }) => op), ["tasks.run"]);
});

Deno.test("run() fails with 125 for data that is not a frame", async () => {
  await using rig = await RunRig.start({
    "tasks.run": accepting((connection) => connection.send(new TextEncoder().encode("HTTP/1.1 200 OK\r\n"))),
  });
  const { status, message } = await failureOf(rig.run());
  assertEquals(status, 125);
  assertMatch(message, /invalid data from .*: no frame is of kind 72/);
});

Deno.test("StatusError keeps its cause", () => {
  const cause = new ApexError("failed", "why");
  const error = new StatusError(125, cause);
  assertEquals([error.exitStatus, error.cause, error.message], [125, cause, "why"]);
});
