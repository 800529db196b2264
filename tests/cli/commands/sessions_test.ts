import { assertEquals } from "@std/assert";
import { list } from "../../../src/cli/commands/sessions.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import type { SessionResult } from "../../../src/protocol/session_operations.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import { TempDir } from "../../support/temp_dir.ts";

const NEW: SessionResult = {
  name: "new",
  status: "detached",
  image: "busybox",
  containerId: "c2",
  createdAt: "2024-12-31T23:59:50.000Z",
};
const OLD: SessionResult = {
  name: "old",
  status: "attached",
  image: "debian",
  containerId: "c1",
  createdAt: "2024-12-31T22:00:00.000Z",
  lastAttachedAt: "2024-12-31T23:00:00.000Z",
  attachedPid: 4711,
  expiresAt: "2025-01-01T02:00:00.000Z",
};

async function listed(json: boolean): Promise<string> {
  await using dir = await TempDir.make();
  const socket = dir.join("apex.socket");
  await using _daemon = new ScriptedDaemon(socket, {
    "sessions.list": (connection) => connection.reply({ sessions: [NEW, OLD] }),
  });
  const context = testContext({ stdout: new CapturedOutput() });
  await list(context, { sockets: resolveSockets({ env: () => undefined, cwd: "/", socket }), json });
  return context.stdout.text;
}

Deno.test("list() prints a table, oldest session first", async () => {
  assertEquals(
    await listed(false),
    `NAME  STATUS               IMAGE    AGE  LAST ATTACHED  ENDS IN
old   attached (pid 4711)  debian   2h   1h ago         2h
new   detached             busybox  10s  -              -
`,
  );
});

Deno.test("list() with --json prints the daemon's fields, with times in RFC 3339", async () => {
  assertEquals(JSON.parse(await listed(true)), [OLD, NEW]);
});
