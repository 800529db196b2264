/** The output of tasks whose containers were removed: on the embedded engine, and on real Docker. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { selectOutput, TaskOutputKeeper } from "../../../src/daemon/operations/kept_output.ts";
import { LogRecordTail } from "../../../src/engine/logs/log_tail.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { openStorage } from "../../../src/storage/storage.ts";
import { startOnEmbeddedEngine, TestDaemon } from "../../support/daemons/test_daemon.ts";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const sh = (script: string) => ["sh", "-c", script];
const MIB = 1024 * 1024;
const SCRIPT = "echo one; sleep 0.05; echo two >&2; sleep 0.05; echo three; sleep 0.05; printf end";

/** Runs a task to its end and until its container is removed. */
async function runAndRemove(daemon: TestDaemon, task: Parameters<TestDaemon["run"]>[0]): Promise<void> {
  using events = await daemon.events();
  await daemon.request("status", {});
  await daemon.run(task);
  await events.until(({ type, taskId }) => type === "workspace.cleaned" && taskId === task.taskId);
}

function logsOf(daemon: TestDaemon, target: string, options: Record<string, unknown> = {}) {
  return daemon.stream("containers.logs", { target, ...options });
}

async function refusal(daemon: TestDaemon, target: string): Promise<string> {
  const error = await assertRejects(() => logsOf(daemon, target), ApexError);
  assertEquals(error.code, "not_found");
  return error.message;
}

async function checkKeptOutput(daemon: TestDaemon): Promise<void> {
  await runAndRemove(daemon, { taskId: "job", cmd: sh(SCRIPT) });
  const all = await logsOf(daemon, "job", { follow: true });
  assertEquals([all.stdout, all.stderr, all.payloads.exit], ["one\nthree\nend", "two\n", {}]);
  assertEquals(all.kinds, ["data", "stderr", "data", "exit"]);
  const last = await logsOf(daemon, "job", { tail: 2 });
  assertEquals([last.stdout, last.stderr], ["three\nend", ""]);
  const stamped = await logsOf(daemon, "job", { timestamps: true });
  assertMatch(stamped.stdout, /^20\S+Z one\n20\S+Z three\n20\S+Z end$/);
  const time = (line: string) => Date.parse(line.slice(0, 23) + "Z");
  const sinceMs = time(stamped.stderr);
  const since = await logsOf(daemon, "job", { sinceMs });
  assertEquals([since.stdout, since.stderr], ["three\nend", "two\n"]);
  const { output } = await daemon.request("containers.inspect", { target: "job" });
  assertEquals(output, { bytes: "one\ntwo\nthree\nend".length, isCut: false });
}

Deno.test("containers.logs sends the output of a task whose container was removed, with tail, since and times", async () => {
  await using fixture = await startOnEmbeddedEngine();
  await checkKeptOutput(fixture.daemon);
});

Deno.test("an empty output is stored as such, and each run of an id has its own, across restarts of the daemon", async () => {
  await using fixture = await startOnEmbeddedEngine();
  let { daemon } = fixture;
  await runAndRemove(daemon, { taskId: "job", cmd: ["true"] });
  await runAndRemove(daemon, { taskId: "job", cmd: ["echo", "second"] });
  for (let life = 0; life < 2; life++) {
    const outputs = await Promise.all(["job@1", "job@2", "job"].map((target) => logsOf(daemon, target)));
    assertEquals(outputs.map(({ stdout }) => stdout), ["", "second\n", "second\n"]);
    if (life === 0) daemon = await daemon.restart(fixture.engine.socketPath);
  }
  await daemon[Symbol.asyncDispose]();
});

Deno.test("the end of a long output is stored, and only a request for more reports that it is cut", async () => {
  await using fixture = await startOnEmbeddedEngine({ keepOutput: { maxBytes: 1_000, maxTotalBytes: MIB } });
  const { daemon } = fixture;
  await runAndRemove(daemon, { taskId: "job", cmd: ["seq", "100000"] });
  const { stdout } = await logsOf(daemon, "job");
  assert(stdout.endsWith("\n99998\n99999\n100000\n"), stdout);
  const { output } = await daemon.request("containers.inspect", { target: "job" });
  assertEquals(output, { bytes: stdout.length, isCut: true });
  assert(stdout.length > 250 && stdout.length <= 1_000, `${stdout.length}`);
  assertEquals((await logsOf(daemon, "job", { tail: 2 })).stdout, "99999\n100000\n");
});

Deno.test("the output of a kept task is stored when its container is cleaned", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon } = fixture;
  using events = await daemon.events();
  await daemon.run({ taskId: "job", cmd: ["echo", "kept"], keep: true });
  await daemon.request("workspaces.clean", { names: ["apex-task-job"] });
  await events.until(({ type }) => type === "container.removed");
  assertEquals((await logsOf(daemon, "job")).stdout, "kept\n");
});

Deno.test("containers.logs says why no output is stored", async () => {
  await using fixture = await startOnEmbeddedEngine();
  const { daemon, engine } = fixture;
  using events = await daemon.events();
  await daemon.run({ taskId: "behind", cmd: ["echo", "x"], keep: true });
  await engine.call("DELETE", "/containers/apex-task-behind");
  await events.until(({ type }) => type === "container.removed");
  assertEquals(
    await refusal(daemon, "behind"),
    "there is no output of behind@1 (completed): its container was removed by another program, " +
      "and only apex keeps the output",
  );
  assertEquals((await daemon.request("containers.inspect", { target: "behind" })).output, undefined);
  await runAndRemove(daemon, { taskId: "never", cmd: ["/no/such/program"] });
  assertEquals(await refusal(daemon, "never"), "there is no output of never@1 (failed): it never started");
});

Deno.test('keep_output = "0" stores nothing, and containers.logs says so', async () => {
  await using fixture = await startOnEmbeddedEngine({ keepOutput: { maxBytes: 0, maxTotalBytes: MIB } });
  const { daemon } = fixture;
  await runAndRemove(daemon, { taskId: "job", cmd: ["echo", "x"] });
  assertEquals(
    await refusal(daemon, "job"),
    "there is no output of job@1 (completed): its container was removed, and the configuration has " +
      'keep_output = "0" (--keep leaves a container)',
  );
});

Deno.test("above the total the oldest output is deleted, and containers.logs says so", async () => {
  await using fixture = await startOnEmbeddedEngine({
    keepOutput: { maxBytes: 1_000, maxTotalBytes: 2_500 },
  });
  const { daemon } = fixture;
  for (const taskId of ["a", "b", "c"]) await runAndRemove(daemon, { taskId, cmd: ["seq", "1000"] });
  assertEquals(
    await refusal(daemon, "a"),
    "there is no output of a@1 (completed): it made room for the output of later tasks (keep_output_total)",
  );
  for (const taskId of ["b", "c"]) assertMatch((await logsOf(daemon, taskId)).stdout, /999\n1000\n$/);
});

Deno.test("the reason is stored for an output that the engine cannot send, and the removal is not delayed", async () => {
  using storage = openStorage({ path: ":memory:", clock: new FakeClock(), logger: silentLogger });
  const { tasks, outputs } = storage;
  const warnings: string[] = [];
  const keeper = new TaskOutputKeeper({
    containers: {
      find: () => undefined,
      logTail: () => Promise.reject(new ApexError("engine", "the log driver is none")),
    },
    tasks,
    outputs,
    limits: { maxBytes: MIB, maxTotalBytes: MIB },
    logger: { ...silentLogger, warn: (message) => void warnings.push(message) },
  });
  const base = {
    state: "completed",
    createdAtMs: 1,
    endedAtMs: 2,
    cleanupPending: true,
    outputAwaited: false,
    spec: {},
  };
  tasks.save({ ...base, taskId: "job", run: 2, containerId: "c2" });
  await keeper.keep({ taskId: "job", containerId: "c2" }, new AbortController().signal);
  assertEquals(outputs.get({ taskId: "job", run: 2 })?.missing, "the log driver is none");
  assertEquals(warnings, ["the output of task job is not kept: the log driver is none"]);
  // It belongs to no task.
  await keeper.keep({ taskId: "job", containerId: "c1" }, new AbortController().signal);
  assertEquals([outputs.get({ taskId: "job", run: 1 }), warnings.length], [undefined, 1]);
});

Deno.test("selectOutput() counts lines that the engine logged in pieces, over both streams, as whole lines", () => {
  const tail = new LogRecordTail(MIB);
  const add = (stream: "stdout" | "stderr", text: string, seconds: number) => {
    tail.push(new TextEncoder().encode(text));
    tail.end({ stream, timeNano: BigInt(seconds) * 1_000_000_000n });
  };
  add("stdout", "a1", 1);
  add("stderr", "b1", 2);
  add("stdout", "a2\n", 3);
  add("stderr", "b2\n", 4);
  add("stdout", "c\n", 5);
  const select = (options: Parameters<typeof selectOutput>[1], isCut = true) => {
    const selected = selectOutput({ records: tail.bytes(), isCut }, options);
    const text = [...selected.chunks].map(({ stream, bytes }) =>
      `${stream}:${new TextDecoder().decode(bytes)}`
    );
    return [text.join("|"), selected.isCut, selected.keptBytes];
  };
  const whole = "stdout:a1|stderr:b1|stdout:a2\n|stderr:b2\n|stdout:c\n";
  assertEquals(select({}), [whole, true, 12]);
  assertEquals(select({}, false), [whole, false, 12]);
  assertEquals(select({ tail: 1 }), ["stdout:c\n", false, 12]);
  assertEquals(select({ tail: 2 }), ["stderr:b1|stdout:a2\n|stderr:b2\n|stdout:c\n", false, 12]);
  assertEquals(select({ tail: 0 }), ["", false, 12]);
  assertEquals(select({ tail: 100 }), [whole, true, 12]);
  assertEquals(select({ sinceMs: 4_000 }), ["stderr:b2\n|stdout:c\n", false, 12]);
  assertEquals(select({ sinceMs: 6_000 }), ["", false, 12]);
  assertEquals(select({ sinceMs: 5_000, timestamps: true })[0], "stdout:1970-01-01T00:00:05.000000000Z c\n");
  assertEquals(
    select({ tail: 3, timestamps: true })[0],
    "stdout:1970-01-01T00:00:01.000000000Z a1|stderr:1970-01-01T00:00:02.000000000Z b1|stdout:a2\n|stderr:b2\n|" +
      "stdout:1970-01-01T00:00:05.000000000Z c\n",
  );
});

Deno.test({
  name:
    "docker: containers.logs has the output of a task whose container was removed, and the end of a long one",
  ignore: !await dockerAvailable(),
  fn: async () => {
    await using docker = await startDocker();
    await using daemon = await TestDaemon.start(docker.socketPath);
    await checkKeptOutput(daemon);
    await runAndRemove(daemon, {
      taskId: "long",
      cmd: sh("seq 1000000; head -c 100000 /dev/zero | tr '\\0' x"),
    });
    const { stdout } = await logsOf(daemon, "long");
    const end = Array.from({ length: 1_000_000 }, (_, i) => `${i + 1}\n`).join("") + "x".repeat(100_000);
    assert(end.endsWith(stdout), stdout.slice(0, 100));
    const { output } = await daemon.request("containers.inspect", { target: "long" });
    assertEquals(output, { bytes: stdout.length, isCut: true });
    assert(stdout.length > MIB / 4 && stdout.length <= MIB, `${stdout.length}`);
  },
});
