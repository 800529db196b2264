import { assertEquals } from "@std/assert";
import { inspect } from "../../../src/cli/commands/inspect.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import { taskResult } from "../../support/daemons/task_result.ts";
import { TempDir } from "../../support/temp_dir.ts";

Deno.test("inspect prints one array in the order asked for, names what is not there, and ends with 4", async () => {
  await using dir = await TempDir.make();
  await using _daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "containers.inspect": async (connection, request) => {
      const target = request.op === "containers.inspect" ? request.target : "";
      if (target === "gone") await connection.refuse("not_found", "no such task or container");
      else {
        const others = target === "a" ? { target: "a@2", others: ["a@1"] } : {};
        await connection.reply({ ...others, engine: { Id: target }, task: taskResult({ taskId: target }) });
      }
    },
  });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: dir.join("apex.socket") });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr });
  assertEquals(await inspect(context, { sockets, targets: ["b", "gone", "a"] }), 4);
  assertEquals(JSON.parse(context.stdout.text), [
    { engine: { Id: "b" }, task: taskResult({ taskId: "b" }) },
    { target: "a@2", others: ["a@1"], engine: { Id: "a" }, task: taskResult({ taskId: "a" }) },
  ]);
  assertEquals(stderr.text.split("\n").sort(), [
    "",
    'apex: cannot inspect "gone": no such task or container',
    "apex: this is a@2; a also has: a@1",
  ]);
});
