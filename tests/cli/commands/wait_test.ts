import { assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { wait, type WaitFlags } from "../../../src/cli/commands/wait.ts";
import { StatusError } from "../../../src/cli/output/exit_status.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { type OpScript, ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import { taskResult } from "../../support/daemons/task_result.ts";
import { TempDir } from "../../support/temp_dir.ts";

interface Waited {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly asked: unknown[];
}

async function waitWith(
  script: OpScript,
  flags: WaitFlags = {},
  targets: readonly string[] = ["t1"],
): Promise<Waited> {
  await using dir = await TempDir.make();
  await using daemon = new ScriptedDaemon(dir.join("apex.socket"), { "containers.wait": script });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: dir.join("apex.socket") });
  const stderr = new CapturedOutput();
  const context = testContext({ stdout: new CapturedOutput(), stderr });
  const status = await wait(context, { sockets, targets, flags });
  return { status, stdout: context.stdout.text, stderr: stderr.text, asked: daemon.requests };
}

/** Replies with the end of each target; a wait for another target lasts until the client disconnects. */
function ends(ends: Record<string, unknown>): OpScript {
  return async (connection, request) => {
    const { target } = request as { readonly target: string };
    await connection.reply({ target });
    if (target in ends) await connection.frame("exit", ends[target]);
    else await connection.hungUp();
  };
}

async function failureOf(waited: Promise<unknown>): Promise<{ status: number; message: string }> {
  const error = await assertRejects(() => waited, StatusError);
  assertInstanceOf(error.cause, Error);
  return { status: error.exitStatus, message: error.cause.message };
}

Deno.test("wait() returns the task's status, and prints nothing if that is enough", async () => {
  const task = taskResult({ state: "failed", exitCode: 7 });
  assertEquals(await waitWith(ends({ t1: { task } }), { timeout: "10m" }), {
    status: 7,
    stdout: "",
    stderr: "",
    asked: [{ v: 1, op: "containers.wait", target: "t1" }],
  });
});

Deno.test("wait() explains a failure that the status does not show", async () => {
  const task = taskResult({ state: "failed", reason: "oom", exitCode: 137 });
  const { status, stderr } = await waitWith(ends({ t1: { task } }));
  assertEquals([status, stderr], [137, "apex: task t1 ran out of memory\n"]);
});

Deno.test("wait() returns the status of a container, or 0 for another condition", async () => {
  assertEquals((await waitWith(ends({ t1: { exitCode: 4 } }))).status, 4);
  const { status, asked } = await waitWith(ends({ t1: {} }), { for: "healthy" });
  assertEquals([status, asked], [0, [{ v: 1, op: "containers.wait", target: "t1", for: "healthy" }]]);
});

Deno.test("wait() for several targets returns the first status that is not 0, and prints a line for each", async () => {
  const script = ends({ a: { exitCode: 0 }, b: { exitCode: 3 }, c: { exitCode: 4 } });
  const { status, stdout } = await waitWith(script, {}, ["a", "b", "c", "a"]);
  assertEquals([status, stdout.split("\n").sort()], [3, ["", "a 0", "b 3", "c 4"]]);
  assertEquals((await waitWith(ends({ a: {}, b: {} }), { for: "running" }, ["a", "b"])).status, 0);
});

Deno.test("wait() with --any returns with the first target, and reports those that cannot meet the condition", async () => {
  const first = await waitWith(ends({ b: { exitCode: 9 } }), { any: true }, ["a", "b"]);
  assertEquals([first.status, first.stdout], [9, "b 9\n"]);
  const script = ends({ a: { error: "it was removed" }, b: { error: "it has ended" } });
  const none = await failureOf(waitWith(script, { any: true, for: "running" }, ["a", "b"]));
  assertEquals(none, { status: 125, message: "none of the 2 targets can meet the condition any longer" });
});

Deno.test("wait() without --any fails when a target can no longer meet the condition", async () => {
  const script = ends({ b: { error: "it has ended (exit status 4)" } });
  assertEquals(await failureOf(waitWith(script, { for: "healthy" }, ["a", "b"])), {
    status: 125,
    message: "cannot wait for b to be healthy: it has ended (exit status 4)",
  });
});

Deno.test("wait() continues with the next daemon, for the same run or container", async () => {
  let times = 0;
  const { status, stderr, asked } = await waitWith(
    async (connection) => {
      if (++times === 1) return await connection.reply({ target: "web", containerId: "c1" });
      await connection.reply({ target: "web", containerId: "c1" });
      await connection.frame("exit", { exitCode: 5 });
    },
    {},
    ["web"],
  );
  assertEquals(status, 5);
  assertMatch(stderr, /^apex: lost the daemon; web may continue; .*\napex: reconnected\n$/);
  assertEquals(asked[1], { v: 1, op: "containers.wait", target: "c1" });
});

Deno.test("wait() for a removal returns when the next daemon does not know the container", async () => {
  let times = 0;
  const { status } = await waitWith(
    async (connection) => {
      if (++times === 1) return await connection.reply({ target: "web", containerId: "c1" });
      await connection.refuse("not_found", "no such container");
    },
    { for: "removed" },
    ["web"],
  );
  assertEquals(status, 0);
});

const failures: [
  name: string,
  script: OpScript,
  timeout: string | undefined,
  status: number,
  message: RegExp,
][] = [
  ["on a timeout", ends({}), "30ms", 124, /^timed out after 30ms while waiting for t1/],
  [
    "on a timeout before the daemon has answered",
    (connection) => connection.hungUp(),
    "30ms",
    124,
    /^timed out after 30ms while waiting for t1/,
  ],
  [
    "for an unknown target",
    (connection) => connection.refuse("not_found", 'no such task or container: "t1"'),
    undefined,
    125,
    /^cannot wait for "t1": no such task or container$/,
  ],
  [
    "when the condition can no longer be met",
    ends({ t1: { error: "its exit status is not known" } }),
    undefined,
    125,
    /^cannot wait for t1 to end: its exit status is not known$/,
  ],
];

for (const [name, script, timeout, status, message] of failures) {
  Deno.test(`wait() fails with ${status} ${name}`, async () => {
    const failure = await failureOf(waitWith(script, { timeout }));
    assertEquals(failure.status, status);
    assertMatch(failure.message, message);
  });
}

Deno.test("wait() rejects an invalid duration before it sends a request", async () => {
  const { status, message } = await failureOf(
    waitWith(() => Promise.reject(new Error("asked")), { timeout: "soon" }),
  );
  assertEquals(status, 125);
  assertMatch(message, /^--timeout: invalid duration "soon"/);
});
