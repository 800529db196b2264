import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { ApexError } from "../../../src/platform/apex_error.ts";
import type { WaitCondition } from "../../../src/protocol/container_operations.ts";
import { StreamReader, TestDaemon } from "../../support/daemons/test_daemon.ts";
import { ContainerDriver } from "../../support/engines/container_driver.ts";
import { TEST_ENGINES } from "../../support/engines/test_engines.ts";
import { TempDir } from "../../support/temp_dir.ts";

const NANO_PER_MS = 1e6;

/** A daemon on an engine, and a client of that engine. */
class Rig implements AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly driver: ContainerDriver;
  readonly dir: string;
  readonly #parts: AsyncDisposableStack;

  private constructor(parts: AsyncDisposableStack, rig: Pick<Rig, "daemon" | "driver" | "dir">) {
    this.#parts = parts;
    this.daemon = rig.daemon;
    this.driver = rig.driver;
    this.dir = rig.dir;
  }

  static async start(engine: typeof TEST_ENGINES[number]): Promise<Rig> {
    await using parts = new AsyncDisposableStack();
    const dir = parts.use(await TempDir.make());
    const { socketPath } = parts.use(await engine.start(dir));
    const driver = parts.use(new ContainerDriver(socketPath));
    const daemon = parts.use(await TestDaemon.start(socketPath));
    return new Rig(parts.move(), { daemon, driver, dir: dir.path });
  }

  /** A container that does not belong to apex. */
  async create(name: string, config: Record<string, unknown> = {}): Promise<string> {
    const { HostConfig, ...rest } = config;
    const mounted = { NetworkMode: "none", Binds: [`${this.dir}:${this.dir}`], ...HostConfig as object };
    const id = await this.driver.create({ name, ...rest, HostConfig: mounted });
    await this.untilKnown(id, ["created"]);
    return id;
  }

  async untilKnown(id: string, states: readonly string[]): Promise<void> {
    const stateOf = async () =>
      (await this.daemon.request("containers.list", {})).containers.find((each) => each.id === id)?.state;
    while (!states.includes(await stateOf() ?? "gone")) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Resolves when the daemon has registered the wait. */
  begin(target: string, condition?: WaitCondition): Promise<StreamReader> {
    const params = { target, ...(condition && { for: condition }) };
    return StreamReader.open(this.daemon, "containers.wait", params);
  }

  async end(wait: Promise<StreamReader>): Promise<Record<string, unknown>> {
    using reader = await wait;
    return (await reader.end()).payloads.exit!;
  }

  /** How a wait ended whose condition was met, or could not be met, from the beginning. */
  now(target: string, condition?: WaitCondition): Promise<Record<string, unknown>> {
    return this.end(this.begin(target, condition));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

for (const engine of TEST_ENGINES) {
  const { name, ignore } = engine;
  Deno.test({
    name: `containers.wait on ${name} ends for later and for earlier changes of a container`,
    ignore,
    fn: async () => {
      await using rig = await Rig.start(engine);
      const { driver } = rig;
      const id = await rig.create("web", { Cmd: ["sh", "-c", "read -r line; exit 7"], OpenStdin: true });
      const whenRunning = rig.begin("web", "running");
      const whenEnded = rig.begin(id.slice(0, 12));
      await Promise.all([whenRunning, whenEnded]);
      await driver.start(id);
      assertEquals(await rig.end(whenRunning), {});
      assertEquals(await rig.now("web", "running"), {});
      await driver.kill(id, { signal: "SIGKILL" });
      assertEquals(await rig.end(whenEnded), { exitCode: 137 });
      assertEquals(await rig.now("web"), { exitCode: 137 });
      assertEquals(await rig.now("web", "running"), { error: "it has ended (exit status 137)" });
      const whenRemoved = rig.begin("web", "removed");
      await whenRemoved;
      await driver.remove(id);
      assertEquals(await rig.end(whenRemoved), {});
      assertEquals(await rig.now("web", "removed"), {});
      assertEquals(await rig.now("web"), { exitCode: 137 });
      const unknown = await assertRejects(() => rig.now("web", "running"), ApexError);
      assertEquals(unknown.code, "not_found");
    },
  });

  Deno.test({
    name: `containers.wait on ${name} waits for health, and refuses a container without a health check`,
    ignore,
    fn: async () => {
      await using rig = await Rig.start(engine);
      const { driver } = rig;
      const check = {
        Test: ["CMD-SHELL", `test -e ${rig.dir}/ok`],
        Interval: 50 * NANO_PER_MS,
        Timeout: 5_000 * NANO_PER_MS,
        Retries: 1,
      };
      const id = await rig.create("checked", { Healthcheck: check });
      const whenUnhealthy = rig.begin("checked", "unhealthy");
      const whenHealthy = rig.begin("checked", "healthy");
      await Promise.all([whenUnhealthy, whenHealthy]);
      await driver.start(id);
      assertEquals(await rig.end(whenUnhealthy), {});
      await Deno.writeTextFile(`${rig.dir}/ok`, "");
      assertEquals(await rig.end(whenHealthy), {});
      assertEquals(await rig.now("checked", "healthy"), {});
      const whenUnhealthyAgain = rig.begin("checked", "unhealthy");
      await whenUnhealthyAgain;
      await driver.kill(id, { signal: "SIGKILL" });
      assertEquals(await rig.end(whenUnhealthyAgain), { error: "it has ended (exit status 137)" });

      const plain = await rig.create("plain");
      await driver.start(plain);
      const { error } = await rig.now("plain", "healthy");
      assertMatch(String(error), /^it has no health check/);
      const none = await rig.create("none", { Healthcheck: { Test: ["NONE"] } });
      assertMatch(String((await rig.now("none", "unhealthy")).error), /^it has no health check/);
      await driver.remove(none);
      await driver.remove(plain, { force: true });
    },
  });

  Deno.test({
    name: `containers.wait on ${name} continues while a restart policy restarts the container`,
    ignore,
    fn: async () => {
      await using rig = await Rig.start(engine);
      const { driver } = rig;
      const id = await rig.create("flaky", {
        Cmd: ["sh", "-c", `test -e ${rig.dir}/again && sleep 600; touch ${rig.dir}/again; exit 3`],
        Healthcheck: {
          Test: ["CMD-SHELL", `test -e ${rig.dir}/again`],
          Interval: 300 * NANO_PER_MS,
          Timeout: 5_000 * NANO_PER_MS,
        },
        HostConfig: { RestartPolicy: { Name: "always" } },
      });
      const waits = [rig.begin("flaky"), rig.begin("flaky", "healthy")] as const;
      await Promise.all(waits);
      await driver.start(id);
      assertEquals(await rig.end(waits[0]), { exitCode: 3 });
      assertEquals(await rig.end(waits[1]), {});
      await driver.remove(id, { force: true });
    },
  });

  Deno.test({
    name: `containers.wait on ${name} accepts tasks, and single runs of them`,
    ignore,
    fn: async () => {
      await using rig = await Rig.start(engine);
      const run = async (exitCode: number): Promise<StreamReader> => {
        const script = `until [ -e ${rig.dir}/go${exitCode} ]; do sleep 0.02; done; exit ${exitCode}`;
        const mounts = [{ source: rig.dir, target: rig.dir }];
        const client = await rig.daemon.runTask({ taskId: "job", cmd: ["sh", "-c", script], mounts });
        await client.untilKind("started");
        return client;
      };
      using first = await run(4);
      assertEquals(await rig.now("job", "running"), {});
      const [whenEnded, whenRemoved] = [rig.begin("job"), rig.begin("job", "removed")];
      await Promise.all([whenEnded, whenRemoved]);
      await Deno.writeTextFile(`${rig.dir}/go4`, "");
      await first.end();
      const { task } = await rig.end(whenEnded) as { task: { state: string; exitCode: number } };
      assertEquals([task.state, task.exitCode], ["failed", 4]);
      assertEquals(await rig.end(whenRemoved), {});
      assertEquals(await rig.now("job", "running"), { error: "it has ended (failed)" });
      assertEquals(await rig.now("job", "healthy"), { error: "it has ended (failed)" });
      assertEquals(await rig.now("job", "removed"), {});
      using second = await run(0);
      const ofFirst = await rig.now("job@1") as { task: { exitCode: number } };
      assertEquals(ofFirst.task.exitCode, 4);
      assertMatch(String((await rig.now("job", "healthy")).error), /^it has no health check/);
      await Deno.writeTextFile(`${rig.dir}/go0`, "");
      assertEquals(((await rig.now("job")) as { task: { exitCode: number } }).task.exitCode, 0);
      await second.end();
    },
  });
}

Deno.test("containers.wait ends when its client hangs up, and does not delay the end of the daemon", async () => {
  await using rig = await Rig.start(TEST_ENGINES[0]!);
  const id = await rig.create("web");
  for (const condition of ["exit", "running", "healthy", "removed"] as const) {
    using _ = await rig.begin("web", condition);
  }
  using last = await rig.begin("web");
  await rig.driver.start(id);
  await rig.untilKnown(id, ["running"]);
  await rig.daemon[Symbol.asyncDispose]();
  assertEquals((await last.end()).kinds, []);
});
