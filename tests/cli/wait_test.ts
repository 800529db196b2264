import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { wait } from "../../src/cli/wait.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { resolveSockets } from "../../src/platform/directories.ts";
import { CapturedOutput, testContext } from "../support/cli_context.ts";
import { type OpScript, ScriptedDaemon } from "../support/scripted_daemon.ts";
import { taskResult } from "../support/task_result.ts";
import { TempDir } from "../support/temp_dir.ts";

async function waitWith(
  script: OpScript,
  timeout?: string,
): Promise<{ status: number; stdout: string; stderr: string; asked: unknown[] }> {
  await using dir = await TempDir.make();
  await using daemon = new ScriptedDaemon(dir.join("apex.socket"), { "tasks.wait": script });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: dir.join("apex.socket") });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr });
  const status = await wait(context, { sockets, task: "t1", timeout });
  return { status, stdout: context.stdout.text, stderr: stderr.text, asked: daemon.requests };
}

Deno.test("wait ends with the task's status, and says nothing where that says it all", async () => {
  const task = taskResult({ state: "failed", exitCode: 7 });
  const ended = await waitWith(async (connection) => {
    await connection.reply({ taskId: "t1" });
    await connection.frame("exit", { task });
  }, "10m");
  assertEquals(ended, {
    status: 7,
    stdout: "",
    stderr: "",
    asked: [{ v: 1, op: "tasks.wait", task: "t1" }],
  });
});

Deno.test("wait says why a task has failed that its status does not tell", async () => {
  const task = taskResult({ state: "failed", reason: "oom", exitCode: 137 });
  const { status, stderr } = await waitWith(async (connection) => {
    await connection.reply({ taskId: "t1" });
    await connection.frame("exit", { task });
  });
  assertEquals([status, stderr], [137, "apex: task t1 ran out of memory\n"]);
});

const failures: [
  name: string,
  script: OpScript,
  timeout: string | undefined,
  code: string,
  message: RegExp,
][] = [
  [
    "when its own time is over",
    async (connection) => {
      await connection.reply({ taskId: "t1" });
      await connection.hungUp();
    },
    "30ms",
    "timeout",
    /^task t1 has not ended within 30ms/,
  ],
  [
    "when its own time is over before the daemon has answered",
    (connection) => connection.hungUp(),
    "30ms",
    "timeout",
    /^task t1 has not ended within 30ms/,
  ],
  [
    "when the daemon goes away",
    (connection) => connection.reply({ taskId: "t1" }),
    undefined,
    "stream_cut",
    /daemon went away while this waited for task t1/,
  ],
  [
    "when there is no such task",
    (connection) => connection.refuse("not_found", 'no such task: "t1"'),
    undefined,
    "not_found",
    /^no such task/,
  ],
];

for (const [name, script, timeout, code, message] of failures) {
  Deno.test(`wait throws ${code} ${name}`, async () => {
    const error = await assertRejects(() => waitWith(script, timeout), ApexError);
    assertEquals(error.code, code);
    assertMatch(error.message, message);
  });
}

Deno.test("wait refuses a time that makes no sense before it asks", async () => {
  const error = await assertRejects(
    () => waitWith(() => Promise.reject(new Error("asked")), "soon"),
    ApexError,
    '--timeout: invalid duration "soon"',
  );
  assertEquals(error.code, "usage");
});
