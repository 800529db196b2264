import { assertEquals, assertStringIncludes } from "@std/assert";
import { status } from "../../../src/cli/commands/daemon.ts";
import type { DaemonStatus } from "../../../src/client/daemon_status.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { ScriptedServer, send } from "../../support/engines/scripted_server.ts";
import { TempDir } from "../../support/temp_dir.ts";

const CONNECTED: DaemonStatus = {
  version: "0.1.0",
  protocol: 1,
  pid: 42,
  startedAt: "2025-01-01T00:00:00.000Z",
  uptimeMs: 3_723_000,
  engine: {
    state: "connected",
    kind: "docker",
    version: "20.10.24",
    socket: "/var/run/docker.sock",
    source: "default",
  },
  sockets: { control: "/r/apex.socket", events: "/r/events.socket" },
  subscribers: 3,
  eventsPublished: 120,
  subscribersDropped: 1,
  log: { bytes: 28_672, oldest: 1, head: 120, epoch: "0123456789abcdef" },
};

const PATHS = { state: "/s", config: "/c/config.toml", log: "/s/daemon.log" };

/** The output of `apex status`. */
async function statusOf(result: DaemonStatus, json: boolean): Promise<string> {
  return (await outputsOf(result, json)).stdout;
}

async function outputsOf(
  result: DaemonStatus,
  json: boolean,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  await using dir = await TempDir.make();
  await using server = new ScriptedServer(dir.join("apex.socket"), async (conn) => {
    await send(conn, `${JSON.stringify({ ok: true, result })}\n`);
  });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: server.path });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr });
  await status(context, { sockets, json });
  return { stdout: context.stdout.text, stderr: stderr.text };
}

Deno.test("status() prints a table", async () => {
  assertEquals(
    await statusOf({ ...CONNECTED, instance: "0123456789abcdef" }, false),
    `\
daemon       apex 0.1.0, pid 42, up 1h 2m
engine       docker 20.10.24, connected
             /var/run/docker.sock (from default)
client       apex 0.1.0
instance     0123456789abcdef
sockets      /r/apex.socket
             /r/events.socket
subscribers  3, 1 dropped as too slow
events       120 published, 1 to 120 kept in memory (28.0 KiB)
`,
  );
});

Deno.test("status() explains why the engine is not connected", async () => {
  const engine = {
    state: "connecting",
    socket: "/s",
    source: "--engine",
    error: "connection refused",
  } as const;
  const text = await statusOf({
    ...CONNECTED,
    engine,
    log: { bytes: 0, oldest: 0, head: 0, epoch: "0123456789abcdef" },
  }, false);
  assertEquals(text.split("\n")[1], "engine       not known yet, connecting: connection refused");
  assertEquals(text.includes("none kept (0 B)"), true);
});

Deno.test("status() shows tasks and storage, if the daemon reports them", async () => {
  const tasks = { running: 3, pending: 1 };
  const lines = (text: string) => text.split("\n").slice(6, 8);
  assertEquals(lines(await statusOf({ ...CONNECTED, tasks, storage: { state: "ok" } }, false)), [
    "tasks        3 running, 1 pending",
    "storage      ok",
  ]);
  const storage = { state: "degraded", error: "disk full" } as const;
  assertEquals(
    lines(await statusOf({ ...CONNECTED, tasks, storage }, false))[1],
    "storage      degraded: disk full; a restart of the daemon loses all changes from now on",
  );
});

Deno.test("status() shows sessions, paths and the log, if the daemon reports them", async () => {
  const sessions = { attached: 1, detached: 2 };
  const text = await statusOf({ ...CONNECTED, paths: PATHS, sessions }, false);
  const [, , , ...lines] = text.split("\n");
  assertEquals(lines.slice(0, 7), [
    "log          /s/daemon.log",
    "client       apex 0.1.0",
    "state        /s",
    "config       /c/config.toml",
    "sockets      /r/apex.socket",
    "             /r/events.socket",
    "sessions     1 attached, 2 detached",
  ]);
  const { log: _, ...inForeground } = PATHS;
  assertStringIncludes(
    await statusOf({ ...CONNECTED, paths: inForeground }, false),
    "log          standard error\n",
  );
});

Deno.test("status() with --json prints the daemon's reply and the client's version", async () => {
  const client = { version: "0.1.0", protocol: 1 };
  assertEquals(JSON.parse(await statusOf(CONNECTED, true)), { ...CONNECTED, client });
});

Deno.test("status() explains what to do about a daemon of another version", async () => {
  const { stdout, stderr } = await outputsOf({ ...CONNECTED, version: "9.0.0", protocol: 7 }, false);
  assertStringIncludes(stdout, "daemon       apex 9.0.0, pid 42, up 1h 2m\n");
  assertStringIncludes(stdout, "client       apex 0.1.0\n");
  assertStringIncludes(
    stderr,
    "apex: the daemon (pid 42) is apex 9.0.0 and speaks control protocol 7, not 1",
  );
});

const storages: [NonNullable<DaemonStatus["storage"]>, string][] = [
  [{ state: "ok" }, "ok"],
  [{ state: "ok", error: "it was damaged: moved aside" }, "ok: it was damaged: moved aside"],
  [
    { state: "degraded", error: "disk is full" },
    "degraded: disk is full; a restart of the daemon loses all changes from now on",
  ],
];

for (const [storage, line] of storages) {
  Deno.test(`status() shows the storage as ${line}`, async () => {
    const text = await statusOf({ ...CONNECTED, storage }, false);
    assertEquals(text.split("\n").find((text) => text.startsWith("storage")), `storage      ${line}`);
  });
}

const journals: [NonNullable<DaemonStatus["journal"]>, string][] = [
  [{ state: "ok", oldest: 21, bytes: 2_097_152 }, "ok, events 21 to 120 (2.0 MiB)"],
  [{ state: "ok", oldest: 121, bytes: 65_536 }, "ok, no events yet (64.0 KiB)"],
  [
    { state: "degraded", error: "disk is full", oldest: 1, bytes: 0 },
    "degraded: disk is full; events are kept in memory only",
  ],
  [{ state: "off", oldest: 1, bytes: 0 }, "off: no history, and no resuming after a restart"],
];

for (const [journal, line] of journals) {
  Deno.test(`status() shows the journal as ${line}`, async () => {
    const text = await statusOf({ ...CONNECTED, journal }, false);
    assertEquals(text.split("\n").find((text) => text.startsWith("journal")), `journal      ${line}`);
  });
}
