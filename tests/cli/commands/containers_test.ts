import { assertEquals } from "@std/assert";
import { red } from "@std/fmt/colors";
import { inspect, ps } from "../../../src/cli/commands/containers.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import type { ContainerResult } from "../../../src/protocol/container_operations.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import { taskResult } from "../../support/daemons/task_result.ts";
import { ScriptedServer, send } from "../../support/engines/scripted_server.ts";
import { TempDir } from "../../support/temp_dir.ts";

const OLD: ContainerResult = {
  id: "a".repeat(64),
  name: "apex-task-build-7",
  image: "busybox",
  state: "exited",
  taskId: "build-7",
  exitCode: 3,
  labels: { "apex.task-id": "build-7" },
  createdAt: "2024-12-31T22:00:00.000Z",
  endedAt: "2024-12-31T23:00:00.000Z",
};
const NEW: ContainerResult = {
  id: "b".repeat(64),
  name: "web\x1b[2J",
  image: `sha256:${"c".repeat(64)}`,
  state: "running",
  health: "healthy",
  labels: {},
  createdAt: "2024-12-31T23:59:30.000Z",
};

async function psOf(
  containers: ContainerResult[],
  options: { json: boolean; colors?: boolean },
): Promise<string> {
  await using dir = await TempDir.make();
  await using server = new ScriptedServer(dir.join("apex.socket"), async (conn) => {
    await send(conn, `${JSON.stringify({ ok: true, result: { containers, engine: "connected" } })}\n`);
  });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: server.path });
  const context = testContext({ stdout: new CapturedOutput({ colors: options.colors ?? false }) });
  await ps(context, { sockets, json: options.json });
  return context.stdout.text;
}

Deno.test("ps() prints a table, newest first, with control characters escaped", async () => {
  assertEquals(
    await psOf([OLD, NEW], { json: false }),
    `\
ID            NAME               IMAGE         STATE       HEALTH   TASK     AGE
bbbbbbbbbbbb  web\\x1b[2J         cccccccccccc  running     healthy  -        30s
aaaaaaaaaaaa  apex-task-build-7  busybox       exited (3)  -        build-7  2h
`,
  );
});

Deno.test("ps() prints only the headings when there are no containers", async () => {
  assertEquals(await psOf([], { json: false }), "ID  NAME  IMAGE  STATE  HEALTH  TASK  AGE\n");
});

Deno.test("ps() with --json prints one array with every field", async () => {
  assertEquals(JSON.parse(await psOf([OLD, NEW], { json: true })), [NEW, OLD]);
  assertEquals(await psOf([], { json: true }), "[]\n");
});

Deno.test("ps() colours only the state, and only if colours are enabled", async () => {
  const coloured = await psOf([OLD], { json: false, colors: true });
  assertEquals(coloured.includes(red("exited (3)")), true);
  assertEquals(coloured.replace(red("exited (3)"), "exited (3)"), await psOf([OLD], { json: false }));
});

Deno.test("inspect() prints one array in the requested order, reports an unknown target, and returns 4", async () => {
  await using dir = await TempDir.make();
  await using _daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "containers.inspect": async (connection, request) => {
      const target = request.op === "containers.inspect" ? request.target : "";
      if (target === "unknown") {
        await connection.refuse("not_found", 'no such task or container: "unknown" (see: apex ps)');
      } else {
        const others = target === "a" ? { target: "a@2", others: ["a@1"] } : { target };
        await connection.reply({ ...others, engine: { Id: target }, task: taskResult({ taskId: target }) });
      }
    },
  });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: dir.join("apex.socket") });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr });
  assertEquals(await inspect(context, { sockets, targets: ["b", "unknown", "a"] }), 4);
  assertEquals(JSON.parse(context.stdout.text), [
    { target: "b", engine: { Id: "b" }, task: taskResult({ taskId: "b" }) },
    { target: "a@2", others: ["a@1"], engine: { Id: "a" }, task: taskResult({ taskId: "a" }) },
  ]);
  assertEquals(stderr.text.split("\n").sort(), [
    "",
    'apex: cannot inspect "unknown": no such task or container (see: apex ps)',
    "apex: this is a@2; a also has: a@1",
  ]);
});
