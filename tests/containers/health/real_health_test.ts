/** Health on real engines: from their checks, and from what their containers use. */
import { assert, assertEquals } from "@std/assert";
import type { ContainerHealthEvent } from "../../../src/containers/changes/container_events.ts";
import { ContainerManager } from "../../../src/containers/container_manager.ts";
import { ContainerHealthMonitor } from "../../../src/containers/health/container_health_monitor.ts";
import type { ContainerSpec } from "../../../src/containers/operations/container_spec.ts";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { TestEngine } from "../../support/engines/embedded_engine.ts";
import { within } from "../../support/within.ts";

/** An engine on a busy machine needs some seconds. */
const EVENT_TIMEOUT_MS = 30_000;

class Monitored implements AsyncDisposable {
  readonly #client: EngineClient;
  readonly manager: ContainerManager;
  readonly health: ContainerHealthMonitor;

  private constructor(socketPath: string) {
    this.#client = new EngineClient({ socketPath });
    const options = { logger: silentLogger, clock: systemClock };
    this.manager = new ContainerManager({ ...options, client: this.#client });
    this.health = new ContainerHealthMonitor({ ...options, manager: this.manager });
  }

  static async start(socketPath: string): Promise<Monitored> {
    const monitored = new Monitored(socketPath);
    const connected = Promise.withResolvers<void>();
    monitored.manager.once("engine:connected", () => connected.resolve());
    monitored.manager.follow();
    await within(EVENT_TIMEOUT_MS, "the engine", connected.promise);
    return monitored;
  }

  async run(spec: Omit<ContainerSpec, "image" | "network">): Promise<string> {
    const { id } = await this.manager.create({ image: "busybox:local", network: "none", ...spec });
    const started = Promise.withResolvers<void>();
    const onStarted = (event: { success: boolean; containerId?: string }): void => {
      if (event.containerId === id) started.resolve();
    };
    this.manager.on("container:started", onStarted);
    await this.manager.start(id);
    await within(EVENT_TIMEOUT_MS, "the container's start", started.promise);
    this.manager.off("container:started", onStarted);
    return id;
  }

  /** Resolves with the next change of health. */
  async next(): Promise<ContainerHealthEvent> {
    const came = Promise.withResolvers<ContainerHealthEvent>();
    this.health.on("container:health", came.resolve);
    try {
      return await within(EVENT_TIMEOUT_MS, "a change of health", came.promise);
    } finally {
      this.health.off("container:health", came.resolve);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { id } of this.manager.list()) await this.manager.remove(id, { force: true });
    await this.health[Symbol.asyncDispose]();
    await this.manager[Symbol.asyncDispose]();
    this.#client[Symbol.dispose]();
  }
}

async function reportsCheckResults(socketPath: string): Promise<void> {
  await using on = await Monitored.start(socketPath);
  const healthy = on.next();
  await on.run({
    cmd: ["sleep", "600"],
    healthcheck: { cmd: ["sh", "-c", "echo all well"], intervalMs: 200, timeoutMs: 5_000 },
  });
  const event = await healthy;
  assertEquals(
    [event.status, event.failingStreak, event.lastCheckExitCode, event.lastCheckOutput?.trim()],
    ["healthy", 0, 0, "all well"],
  );
  assert(event.lastCheckTime instanceof Date);
  assertEquals(on.health.status().map(({ source, status }) => [source, status]), [[
    "healthcheck",
    "healthy",
  ]]);
  await on.manager.remove(event.containerId, { force: true });

  const unhealthy = on.next();
  await on.run({
    cmd: ["sleep", "600"],
    healthcheck: {
      cmd: ["sh", "-c", "echo not well; exit 3"],
      intervalMs: 200,
      timeoutMs: 5_000,
      retries: 2,
    },
  });
  const { status, failingStreak = 0, lastCheckExitCode, lastCheckOutput } = await unhealthy;
  assertEquals([status, lastCheckExitCode, lastCheckOutput?.trim()], ["unhealthy", 3, "not well"]);
  assert(failingStreak >= 2, `streak ${failingStreak}`);
}

Deno.test("embedded engine: container:health has the result of the last check", async () => {
  await using engine = await TestEngine.start();
  await reportsCheckResults(engine.socketPath);
});

Deno.test("embedded engine: the watch reports healthy containers, and skips those with a HEALTHCHECK", async () => {
  await using engine = await TestEngine.start();
  await using on = await Monitored.start(engine.socketPath);
  const ended = Promise.withResolvers<string>();
  on.health.on("monitoring:stopped", ({ containerName }) => ended.resolve(containerName));
  on.health.configure({ enabled: true, intervalMs: 50 });
  const own = { cmd: ["true"], intervalMs: 600_000 };
  await on.run({ name: "own", cmd: ["sleep", "600"], healthcheck: own });
  assertEquals(await within(EVENT_TIMEOUT_MS, "the end of the watch on it", ended.promise), "own");
  const healthy = on.next();
  const id = await on.run({ name: "web", cmd: ["sleep", "600"] });
  assertEquals((await healthy).status, "healthy");
  assertEquals(on.manager.find(id)?.health, "healthy");
});

Deno.test({
  name: "Docker: health",
  ignore: !await dockerAvailable(),
  fn: async (t) => {
    await using docker = await startDocker();
    await t.step(
      "container:health has the result of the last check",
      () => reportsCheckResults(docker.socketPath),
    );
    await t.step("the watch reports a container that uses much of its memory as unhealthy", async () => {
      await using on = await Monitored.start(docker.socketPath);
      const hog = on.next();
      on.health.configure({ enabled: true, intervalMs: 100, memoryShareLimit: 0.5, failureThreshold: 2 });
      // Shared memory counts as memory, and is not reclaimed.
      const script = "dd if=/dev/zero of=/dev/shm/full bs=1M count=24 && sleep 600";
      const id = await on.run({ name: "hog", cmd: ["sh", "-c", script], memoryBytes: 32 * 1024 * 1024 });
      const first = await hog;
      const event = first.status === "unhealthy" ? first : await on.next();
      assertEquals([event.containerId, event.status, on.manager.find(id)?.health], [
        id,
        "unhealthy",
        "unhealthy",
      ]);
      assert(/^memory: \d+ of 33554432, more than 50% of the limit$/.test(event.lastCheckOutput ?? ""));
    });
  },
});
