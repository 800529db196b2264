import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { logs, type LogsFlags } from "../../../src/cli/commands/logs.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { type OpScript, ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import { TempDir } from "../../support/temp_dir.ts";

const NOW_MS = Date.parse("2025-01-01T00:00:00Z");

async function logsOf(
  flags: LogsFlags,
  script: OpScript,
): Promise<{ stdout: string; stderr: string; asked: unknown }> {
  await using dir = await TempDir.make();
  await using daemon = new ScriptedDaemon(dir.join("apex.socket"), { "containers.logs": script });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: dir.join("apex.socket") });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr, now: () => NOW_MS });
  await logs(context, { sockets, target: "t1", flags });
  return { stdout: context.stdout.text, stderr: stderr.text, asked: daemon.requests[0] };
}

const short: OpScript = async (connection) => {
  await connection.reply({ target: "t1" });
  await connection.frame("data", "out\n");
  await connection.frame("stderr", "err\n");
  await connection.frame("exit", {});
};

Deno.test("logs() prints each stream on the same stream", async () => {
  assertEquals(await logsOf({}, short), {
    stdout: "out\n",
    stderr: "err\n",
    asked: { v: 1, op: "containers.logs", target: "t1" },
  });
});

Deno.test("logs() notes on stderr other runs of the task id, and that kept output is incomplete", async () => {
  const { stdout, stderr } = await logsOf({}, async (connection) => {
    const others = ["t1@7", "t1@6", "t1@5", "web\x1b[2J", "db", "more"];
    await connection.reply({ target: "t1@8", others, kept: { bytes: 1024 * 1024, isCut: true } });
    await connection.frame("data", "end\n");
    await connection.frame("exit", {});
  });
  assertEquals([stdout, stderr], [
    "end\n",
    "apex: this is t1@8; t1 also has: t1@7, t1@6, t1@5, web\\x1b[2J, db, …\n" +
    "apex: the container of t1 was removed; only the last 1.0 MiB of its output were kept\n",
  ]);
});

const asked: [flags: LogsFlags, params: Record<string, unknown>][] = [
  [{ follow: true, timestamps: true }, { follow: true, timestamps: true }],
  [{ tail: "0" }, { tail: 0 }],
  [{ tail: "20" }, { tail: 20 }],
  [{ tail: "all" }, {}],
  [{ since: "10m" }, { sinceMs: NOW_MS - 600_000 }],
  [{ since: "2024-12-31T12:00:00Z" }, { sinceMs: Date.parse("2024-12-31T12:00:00Z") }],
];

for (const [flags, params] of asked) {
  Deno.test(`logs() requests ${JSON.stringify(flags)}`, async () => {
    const request = { v: 1, op: "containers.logs", target: "t1", ...params };
    assertEquals((await logsOf(flags, short)).asked, request);
  });
}

for (
  const [flags, message] of [
    [{ tail: "-1" }, '--tail: "-1" must be a number of lines'],
    [{ tail: "many" }, '--tail: "many" must be a number of lines'],
    [{ since: "yesterday" }, '--since: invalid time "yesterday"'],
    [{ since: "2025-13-45" }, '--since: invalid time "2025-13-45"'],
  ] as const
) {
  Deno.test(`logs() rejects ${JSON.stringify(flags)} before it sends a request`, async () => {
    const asks: OpScript = () => Promise.reject(new Error("asked"));
    assertEquals((await assertRejects(() => logsOf(flags, asks), ApexError, message)).code, "usage");
  });
}

Deno.test("logs() reports why a log broke off", async () => {
  const broken = await assertRejects(() =>
    logsOf({ follow: true }, async (connection) => {
      await connection.reply({ target: "t1" });
      await connection.frame("exit", { error: "the engine went away" });
    }), ApexError);
  assertEquals(broken.code, "engine");
  assertMatch(broken.message, /the log of t1 broke off: the engine went away/);
  const cut = await assertRejects(
    () => logsOf({}, (connection) => connection.reply({ target: "t1" })),
    ApexError,
  );
  assertEquals(cut.code, "stream_cut");
});

Deno.test("logs() names an unknown target", async () => {
  for (const follow of [undefined, true] as const) {
    const refuses: OpScript = (connection) =>
      connection.refuse("not_found", 'no such task or container: "t1" (see: apex ps)');
    const error = await assertRejects(() => logsOf({ follow }, refuses), ApexError);
    assertEquals([error.code, error.message], [
      "not_found",
      'cannot print the log of "t1": no such task or container (see: apex ps)',
    ]);
  }
});

Deno.test("logs() with --follow resumes the same output with the next daemon", async () => {
  await using dir = await TempDir.make();
  let times = 0;
  await using daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "containers.logs": async (connection) => {
      if (++times === 1) {
        await connection.reply({ target: "web", containerId: "c1", start: "12.000000003" });
        await connection.frame("data", "one ");
        await connection.frame("stderr", "err");
        return;
      }
      await connection.reply({ target: "web", containerId: "c1" });
      await connection.frame("data", "two");
      await connection.frame("exit", {});
    },
  });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: dir.join("apex.socket") });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr });
  await logs(context, { sockets, target: "web", flags: { follow: true, tail: "5" } });
  assertEquals(context.stdout.text, "one two");
  assertMatch(
    stderr.text,
    /^errapex: lost the daemon; the log of web continues; .*\napex: reconnected\n$/,
  );
  assertEquals(daemon.requests.slice(1), [{
    v: 1,
    op: "containers.logs",
    target: "c1",
    follow: true,
    start: "12.000000003",
    received: { stdout: 4, stderr: 3 },
  }]);
});
