// deno-lint-ignore-file camelcase -- the API uses these names
import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { TestEngine } from "../../support/engines/embedded_engine.ts";
import { within } from "../../support/within.ts";

/** The fields of a reading that the tests check. */
interface Stats {
  readonly id: string;
  readonly name: string;
  readonly read: string;
  readonly preread: string;
  readonly pids_stats: { readonly current?: number; readonly limit?: number };
  readonly memory_stats: { readonly usage?: number; readonly limit?: number };
  readonly cpu_stats: Cpu;
  readonly precpu_stats: Cpu;
}

interface Cpu {
  readonly cpu_usage: { readonly total_usage: number };
  readonly system_cpu_usage?: number;
  readonly online_cpus?: number;
}

const NEVER = "0001-01-01T00:00:00Z";
const BUSY = "while :; do :; done";

async function oneShot(engine: TestEngine, id: string): Promise<Stats> {
  const { status, body } = await engine.call("GET", `/containers/${id}/stats?stream=false&one-shot=true`);
  assertEquals(status, 200);
  return body as Stats;
}

/** Waits for the first output: then all processes of the container run. */
async function runReady(
  engine: TestEngine,
  script: string,
  config?: Record<string, unknown>,
): Promise<string> {
  const id = await engine.run(`${script}`, { ...config && { config } });
  const response = await engine.fetch("GET", `/containers/${id}/logs?stdout=1&follow=1`);
  const reader = response.body!.getReader();
  await within(10_000, "the container's output", reader.read());
  await reader.cancel();
  return id;
}

Deno.test("stats count the processes of a container and of its execs, and their memory", async () => {
  await using engine = await TestEngine.start();
  const id = await runReady(engine, "sleep 60 & sleep 60 & echo; wait");
  const before = await oneShot(engine, id);
  assertEquals(before.pids_stats, { current: 3 });
  assertGreater(before.memory_stats.usage!, 100_000);
  assertEquals(before.memory_stats.limit, Deno.systemMemoryInfo().total);
  assertEquals([before.name.startsWith("/"), before.id, before.preread], [true, id, NEVER]);
  const created = await engine.call("POST", `/containers/${id}/exec`, { Cmd: ["sleep", "60"] });
  await engine.call("POST", `/exec/${(created.body as { Id: string }).Id}/start`, { Detach: true });
  assertEquals((await oneShot(engine, id)).pids_stats, { current: 4 });
});

Deno.test("stats without one-shot compare two readings: a busy container uses a processor, an idle one does not", async () => {
  await using engine = await TestEngine.start();
  const busy = await runReady(engine, `echo; ${BUSY}`);
  const idle = await runReady(engine, "echo; sleep 60");
  const [busyShare, idleShare] = await Promise.all([busy, idle].map(async (id) => {
    const { body } = await engine.call("GET", `/containers/${id}/stats?stream=false`);
    const { cpu_stats: now, precpu_stats: before, preread, read } = body as Stats;
    assert(preread < read && preread !== NEVER);
    const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
    return used / (now.system_cpu_usage! - before.system_cpu_usage!) * now.online_cpus!;
  }));
  // Other processes may use the processors too. The share is then less than a whole processor, but never near 0.
  assertGreater(busyShare!, 0.05);
  assertLess(busyShare!, 1.2);
  assertLess(idleShare!, 0.05);
});

Deno.test("stats send one reading after another until the container is removed", async () => {
  await using engine = await TestEngine.start();
  const id = await runReady(engine, "echo; sleep 60");
  const response = await engine.fetch("GET", `/containers/${id}/stats`);
  const readings: Stats[] = [];
  const following = (async () => {
    let rest = "";
    for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      readings.push(...lines.map((line) => JSON.parse(line)));
      if (readings.length === 2) await engine.call("DELETE", `/containers/${id}?force=1&v=1`);
    }
  })();
  await within(20_000, "the end of the readings", following);
  assertEquals(readings.length, 2);
  assertEquals(readings[1]!.preread, readings[0]!.read);
});

Deno.test("stats of a container that does not run are empty, and of an unknown container a 404", async () => {
  await using engine = await TestEngine.start();
  const id = await engine.create("true");
  const { body } = await engine.call("GET", `/containers/${id}/stats?stream=false`);
  const { read, pids_stats, memory_stats, cpu_stats } = body as Stats;
  assertEquals([read, pids_stats, memory_stats, cpu_stats.cpu_usage.total_usage], [NEVER, {}, {}, 0]);
  assertEquals(await engine.call("GET", "/containers/nope/stats?stream=false"), {
    status: 404,
    body: { message: "No such container: nope" },
  });
});
