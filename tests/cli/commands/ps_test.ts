import { assertEquals } from "@std/assert";
import { red } from "@std/fmt/colors";
import { ps } from "../../../src/cli/commands/ps.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import type { ContainerResult } from "../../../src/protocol/control.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
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
  finishedAt: "2024-12-31T23:00:00.000Z",
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

Deno.test("ps prints a table, newest first, and never a name's control characters", async () => {
  assertEquals(
    await psOf([OLD, NEW], { json: false }),
    `\
ID            NAME               IMAGE         STATE       HEALTH   TASK     AGE
bbbbbbbbbbbb  web\\x1b[2J         cccccccccccc  running     healthy  -        30s
aaaaaaaaaaaa  apex-task-build-7  busybox       exited (3)  -        build-7  2h
`,
  );
});

Deno.test("ps prints the headings alone when there is nothing", async () => {
  assertEquals(await psOf([], { json: false }), "ID  NAME  IMAGE  STATE  HEALTH  TASK  AGE\n");
});

Deno.test("ps --json prints one array with every field", async () => {
  assertEquals(JSON.parse(await psOf([OLD, NEW], { json: true })), [NEW, OLD]);
  assertEquals(await psOf([], { json: true }), "[]\n");
});

Deno.test("ps colours the state alone, where colours are wanted", async () => {
  const coloured = await psOf([OLD], { json: false, colors: true });
  assertEquals(coloured.includes(red("exited (3)")), true);
  assertEquals(coloured.replace(red("exited (3)"), "exited (3)"), await psOf([OLD], { json: false }));
});
