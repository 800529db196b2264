import { assertEquals, assertRejects } from "@std/assert";
import { cancel } from "../../../src/cli/commands/cancel.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import { taskResult } from "../../support/daemons/task_result.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** `gone…` is unknown, `over…` has ended; all others are cancelled. */
async function cancelOf(
  tasks: string[],
): Promise<{ status: number; stdout: string; stderr: string; requests: number }> {
  await using dir = await TempDir.make();
  await using daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "tasks.cancel": async (connection, request) => {
      const task = request.op === "tasks.cancel" ? request.task : "";
      if (task.startsWith("gone")) await connection.refuse("not_found", "no such task (try: apex tasks)");
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

Deno.test("cancel prints what it cancelled", async () => {
  assertEquals(await cancelOf(["a"]), { status: 0, stdout: "a\n", stderr: "", requests: 1 });
});

Deno.test("cancel does the others when there is no such task, names it, and ends with 4", async () => {
  const { status, stdout, stderr } = await cancelOf(["over1", "a", "gone1", "b"]);
  assertEquals([status, stdout.split("\n").sort()], [4, ["", "a", "b"]]);
  assertEquals(
    stderr,
    `\
apex: cannot cancel task "over1": it has ended
apex: cannot cancel task "gone1": no such task (try: apex tasks)
`,
  );
});

Deno.test("cancel ends with 5 when a task has ended already", async () => {
  assertEquals((await cancelOf(["over1"])).status, 5);
});

Deno.test("cancel takes many tasks, and each one once", async () => {
  const tasks = Array.from({ length: 60 }, (_, n) => `t${n}`);
  const { status, stdout, requests } = await cancelOf([...tasks, "t0"]);
  assertEquals([status, requests, stdout.trim().split("\n").sort()], [0, 60, tasks.toSorted()]);
});

Deno.test("cancel says once that no daemon runs", async () => {
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: "/tmp/apx-no-such/apex.socket" });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr });
  const error = await assertRejects(() => cancel(context, { sockets, tasks: ["a", "b"] }), ApexError);
  assertEquals([error.code, stderr.text], ["no_daemon", ""]);
});
