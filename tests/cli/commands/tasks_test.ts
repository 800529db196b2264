import { assertEquals } from "@std/assert";
import { red } from "@std/fmt/colors";
import { tasks } from "../../../src/cli/commands/tasks.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import type { TaskResult } from "../../../src/protocol/control.ts";
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

Deno.test("tasks prints a table in the daemon's order, and never a command's control characters", async () => {
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

Deno.test("tasks asks for ended ones when told to, and prints them as they are with --json", async () => {
  const { text, asked } = await tasksOf(LIST, { json: true, all: true });
  assertEquals(JSON.parse(text), LIST);
  assertEquals(asked, { v: 1, op: "tasks.list", all: true });
  assertEquals((await tasksOf([])).asked, { v: 1, op: "tasks.list", all: false });
});

Deno.test("tasks colours the state alone, where colours are wanted", async () => {
  const failed = LIST.slice(3, 4);
  const { text } = await tasksOf(failed, { colors: true });
  assertEquals(text.includes(red("failed")), true);
  assertEquals(text.replace(red("failed"), "failed"), (await tasksOf(failed)).text);
});
