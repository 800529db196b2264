import { assertEquals, assertRejects } from "@std/assert";
import { red } from "@std/fmt/colors";
import { cancel, tasks } from "../../../src/cli/commands/tasks.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import type { TaskResult } from "../../../src/protocol/task_operations.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import { taskResult, unendedTask } from "../../support/daemons/task_result.ts";
import { TempDir } from "../../support/temp_dir.ts";

async function tasksOf(
  list: TaskResult[],
  { json = false, all = false, colors = false } = {},
): Promise<{ text: string; asked: unknown }> {
  await using dir = await TempDir.make();
  await using daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "tasks.list": (connection) => connection.reply({ tasks: list }),
  });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: dir.join("apex.socket") });
  const context = testContext({ stdout: new CapturedOutput({ colors }) });
  await tasks(context, { sockets, all, json });
  return { text: context.stdout.text, asked: daemon.requests[0] };
}

const { startedAt: _, ...NOT_STARTED } = unendedTask({ taskId: "waits", state: "pending", cmd: [] });
const LIST: TaskResult[] = [
  NOT_STARTED,
  unendedTask({ taskId: "runs", cmd: ["sh", "-c", "echo it's\x1b[2J"] }),
  taskResult({ taskId: "t1", state: "failed", reason: "oom", exitCode: 137, cmd: ["x".repeat(60)] }),
  taskResult({ taskId: "t0", state: "failed", exitCode: 3 }),
  taskResult({ taskId: "c0", state: "cancelled", reason: "signal", exitCode: 143 }),
];

Deno.test("tasks() prints a table in the daemon's order, with control characters escaped", async () => {
  assertEquals(
    (await tasksOf(LIST)).text,
    `\
TASK   STATE         EXIT  IMAGE    COMMAND                                   AGE  DURATION
waits  pending       -     busybox  -                                         2m   -
runs   running       -     busybox  sh -c 'echo it'\\''s\\x1b[2J'               2m   1m 50s
t1     failed (oom)  137   busybox  ${"x".repeat(39)}…  2m   1m 20s
t0     failed        3     busybox  true                                      2m   1m 20s
c0     cancelled     143   busybox  true                                      2m   1m 20s
`,
  );
});

Deno.test("tasks() with --all requests ended tasks too, and with --json prints them unchanged", async () => {
  const { text, asked } = await tasksOf(LIST, { json: true, all: true });
  assertEquals(JSON.parse(text), LIST);
  assertEquals(asked, { v: 1, op: "tasks.list", all: true });
  assertEquals((await tasksOf([])).asked, { v: 1, op: "tasks.list", all: false });
});

Deno.test("tasks() colours only the state, and only if colours are enabled", async () => {
  const failed = LIST.slice(3, 4);
  const { text } = await tasksOf(failed, { colors: true });
  assertEquals(text.includes(red("failed")), true);
  assertEquals(text.replace(red("failed"), "failed"), (await tasksOf(failed)).text);
});

/** Tasks named `unknown…` do not exist, those named `over…` have ended; the others are cancelled. */
async function cancelOf(
  tasks: string[],
): Promise<{ status: number; stdout: string; stderr: string; requests: number }> {
  await using dir = await TempDir.make();
  await using daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "tasks.cancel": async (connection, request) => {
      const task = request.op === "tasks.cancel" ? request.task : "";
      if (task.startsWith("unknown")) await connection.refuse("not_found", "no such task (see: apex tasks)");
      else if (task.startsWith("over")) {
        await connection.refuse("conflict", `cannot cancel task "${task}": it has ended`);
      } else await connection.reply({ task: taskResult({ taskId: task, state: "cancelled" }) });
    },
  });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: dir.join("apex.socket") });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr });
  const status = await cancel(context, { sockets, tasks });
  return { status, stdout: context.stdout.text, stderr: stderr.text, requests: daemon.requests.length };
}

Deno.test("cancel() prints the ids of the cancelled tasks", async () => {
  assertEquals(await cancelOf(["a"]), { status: 0, stdout: "a\n", stderr: "", requests: 1 });
});

Deno.test("cancel() reports an unknown task, cancels the others, and returns 4", async () => {
  const { status, stdout, stderr } = await cancelOf(["over1", "a", "unknown1", "b"]);
  assertEquals([status, stdout.split("\n").sort()], [4, ["", "a", "b"]]);
  assertEquals(
    stderr,
    `\
apex: cannot cancel task "over1": it has ended
apex: cannot cancel task "unknown1": no such task (see: apex tasks)
`,
  );
});

Deno.test("cancel() returns 5 when a task has already ended", async () => {
  assertEquals((await cancelOf(["over1"])).status, 5);
});

Deno.test("cancel() cancels many tasks, each one once", async () => {
  const tasks = Array.from({ length: 60 }, (_, n) => `t${n}`);
  const { status, stdout, requests } = await cancelOf([...tasks, "t0"]);
  assertEquals([status, requests, stdout.trim().split("\n").sort()], [0, 60, tasks.toSorted()]);
});

Deno.test("cancel() throws only once when no daemon runs", async () => {
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: "/tmp/apx-no-such/apex.socket" });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr });
  const error = await assertRejects(() => cancel(context, { sockets, tasks: ["a", "b"] }), ApexError);
  assertEquals([error.code, stderr.text], ["no_daemon", ""]);
});
