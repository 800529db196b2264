/** Every container event reaches the orchestrator, typed and in order, and disposal removes all listeners. */
import { assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import {
  CONTAINER_EVENT_NAMES,
  type ContainerEvents,
} from "../../src/containers/changes/container_events.ts";
import { ContainerHealthMonitor } from "../../src/containers/health/container_health_monitor.ts";
import { ApexOrchestrator, openOrchestrator, openStorage } from "../../src/orchestrator/mod.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { silentLogger } from "../../src/platform/logger.ts";
import { WorkspaceManager } from "../../src/workspaces/workspace_manager.ts";
import { EmittedManager } from "../support/containers/emitted_manager.ts";
import { TestEngine } from "../support/engines/embedded_engine.ts";
import { TempDir } from "../support/temp_dir.ts";

const base = {
  containerId: "c1",
  containerName: "apex-task-t1",
  image: "busybox",
  taskId: "t1",
  timestamp: new Date(0),
  success: true as const,
};

const PAYLOADS: ContainerEvents = {
  "container:created": { ...base, labels: { a: "b" } },
  "container:started": base,
  "container:health": { ...base, status: "healthy", previousStatus: "starting" },
  "container:stopped": { ...base, exitCode: 0, graceful: true, runDuration: 5 },
  "container:died": { ...base, exitCode: 137, signal: "SIGKILL", oomKilled: false },
  "container:removed": { ...base, exitCode: 137 },
  "container:operation_failed": {
    success: false,
    operation: "pause",
    containerId: "c1",
    timestamp: new Date(0),
    error: "it does not run",
  },
};

class Layers implements Disposable {
  readonly errors: string[] = [];
  readonly #logger = { ...silentLogger, error: (message: string) => void this.errors.push(message) };
  readonly manager = new EmittedManager(() => {});
  readonly health = new ContainerHealthMonitor({ manager: this.manager, logger: this.#logger });
  readonly workspaces = new WorkspaceManager({
    manager: this.manager,
    health: this.health,
    logger: this.#logger,
  });
  readonly #storage = openStorage({ path: ":memory:", clock: systemClock, logger: silentLogger });
  readonly orchestrator = new ApexOrchestrator({
    workspaces: this.workspaces,
    store: this.#storage.tasks,
    logger: this.#logger,
  });

  emitEach(payloads: ContainerEvents = PAYLOADS): void {
    this.manager.emit("container:created", payloads["container:created"]);
    this.manager.emit("container:started", payloads["container:started"]);
    this.manager.emit("health:report", payloads["container:health"]);
    this.manager.emit("container:stopped", payloads["container:stopped"]);
    this.manager.emit("container:died", payloads["container:died"]);
    this.manager.emit("container:removed", payloads["container:removed"]);
    this.manager.emit("container:operation_failed", payloads["container:operation_failed"]);
  }

  [Symbol.dispose](): void {
    this.#storage[Symbol.dispose]();
  }
}

Deno.test("on() receives each container event with its payload", () => {
  using layers = new Layers();
  const seen: Record<string, unknown> = {};
  for (const name of CONTAINER_EVENT_NAMES) {
    layers.orchestrator.on(name, (event) => void (seen[name] = event));
  }
  layers.emitEach();
  assertEquals(seen, { ...PAYLOADS });
});

Deno.test("container:* is called with each event and its name, after the event's own listeners", () => {
  using layers = new Layers();
  const seen: unknown[] = [];
  layers.orchestrator.on("container:*", (event, name) => seen.push([name, event.containerId]));
  layers.orchestrator.on("container:died", (event) => seen.push(event.exitCode));
  layers.emitEach();
  assertEquals(seen, [
    ["container:created", "c1"],
    ["container:started", "c1"],
    ["container:health", "c1"],
    ["container:stopped", "c1"],
    137,
    ["container:died", "c1"],
    ["container:removed", "c1"],
    ["container:operation_failed", "c1"],
  ]);
});

Deno.test("container:* receives events without a task id, and events of failed operations", () => {
  using layers = new Layers();
  const seen: unknown[] = [];
  layers.orchestrator.on("container:*", (event, name) => seen.push([name, event]));
  const { taskId: _taskId, ...plain } = PAYLOADS["container:died"];
  layers.manager.emit("container:died", plain);
  const failure = { success: false, timestamp: new Date(0), error: "no such container" } as const;
  layers.manager.emit("container:stopped", { ...failure, operation: "stop", containerId: "c1" });
  layers.manager.emit("container:operation_failed", { ...failure, operation: "pause", containerName: "web" });
  assertEquals(seen, [
    ["container:died", plain],
    ["container:stopped", { ...failure, operation: "stop", containerId: "c1" }],
    ["container:operation_failed", { ...failure, operation: "pause", containerName: "web" }],
  ]);
});

Deno.test("ApexOrchestrator does not forward container:lifecycle and the engine's connection", () => {
  using layers = new Layers();
  let calls = 0;
  layers.orchestrator.on("container:*", () => void calls++);
  layers.manager.emit("container:lifecycle", { ...base, action: "pause" });
  layers.manager.emit("engine:connected", { engine: "docker", version: "1", timestamp: new Date(0) });
  assertEquals(calls, 0);
});

Deno.test("emit() calls only the listeners of the event's name", () => {
  using layers = new Layers();
  let calls = 0;
  layers.orchestrator.on("container:removed", () => void calls++);
  layers.manager.emit("container:started", base);
  assertEquals(calls, 0);
});

Deno.test("container:* receives a hundred interleaved events of several tasks in order", () => {
  using layers = new Layers();
  const seen: string[] = [];
  layers.orchestrator.on("container:*", (event, name) => seen.push(`${name} ${event.taskId}`));
  const expected: string[] = [];
  for (let i = 0; i < 100; i++) {
    const event = { ...base, taskId: `t${i % 7}` };
    if (i % 3 === 0) layers.manager.emit("container:started", event);
    else if (i % 3 === 1) layers.manager.emit("health:report", { ...event, status: "healthy" });
    else layers.manager.emit("container:removed", event);
    expected.push(`container:${["started", "health", "removed"][i % 3]} t${i % 7}`);
  }
  assertEquals(seen, expected);
});

Deno.test("a listener that throws is logged, and the other listeners are called", () => {
  using layers = new Layers();
  let calls = 0;
  layers.orchestrator.on("container:started", () => {
    throw new Error("no");
  });
  layers.orchestrator.on("container:started", () => void calls++);
  layers.manager.emit("container:started", base);
  assertEquals(calls, 1);
  assertEquals(layers.errors, ["a listener of container:started failed: no"]);
});

Deno.test("off() removes a listener, and once() adds a listener for one event", () => {
  using layers = new Layers();
  const seen: string[] = [];
  const named = (): void => void seen.push("named");
  const any = (): void => void seen.push("any");
  layers.orchestrator.on("container:started", named);
  layers.orchestrator.on("container:*", any);
  layers.orchestrator.once("container:*", () => void seen.push("once"));
  layers.manager.emit("container:started", base);
  layers.orchestrator.off("container:started", named);
  layers.orchestrator.off("container:*", any);
  layers.manager.emit("container:started", base);
  assertEquals(seen, ["named", "any", "once"]);
});

Deno.test("dispose() removes the listeners from every layer, and is idempotent", async () => {
  using layers = new Layers();
  const { orchestrator, workspaces, health, manager } = layers;
  let calls = 0;
  for (const name of ["container:*", "container:died", "task:*"] as const) {
    orchestrator.on(name, () => void calls++);
  }
  orchestrator.once("task:completed", () => void calls++);
  orchestrator.on("workspace-created", () => void calls++);
  assertEquals(orchestrator.listenerCount(), 5);
  assertEquals(orchestrator.listenerCount("task:completed"), 1);
  assertEquals(workspaces.listenerCount(), CONTAINER_EVENT_NAMES.length + 2);

  for (let i = 0; i < 2; i++) await orchestrator.dispose();
  assertEquals([orchestrator.listenerCount(), workspaces.listenerCount()], [0, 0]);
  for (let i = 0; i < 2; i++) await workspaces[Symbol.asyncDispose]();
  assertEquals(health.listenerCount(), 0);
  for (let i = 0; i < 2; i++) await health[Symbol.asyncDispose]();
  assertEquals(manager.listenerCount(), 0);
  layers.emitEach();
  assertEquals(calls, 0);
});

Deno.test("runTask() throws on a disposed orchestrator", async () => {
  using layers = new Layers();
  await layers.orchestrator.dispose();
  assertThrows(() => layers.orchestrator.runTask({ image: "busybox" }), Error, "disposed");
});

Deno.test("openOrchestrator() keeps its instance id with its database, and has a new one in memory", async () => {
  await using engine = await TestEngine.start();
  await using dir = await TempDir.make();
  const instanceOf = async (storePath?: string): Promise<string> => {
    const where = storePath === undefined ? {} : { storePath };
    await using apex = await openOrchestrator({ engine: `unix://${engine.socketPath}`, ...where });
    return apex.containers.instance;
  };
  const first = await instanceOf(dir.join("tasks.db"));
  assertMatch(first, /^[0-9a-f]{16}$/);
  assertEquals(await instanceOf(dir.join("tasks.db")), first);
  assertNotEquals(await instanceOf(dir.join("other.db")), first);
  assertNotEquals(await instanceOf(), await instanceOf());
});
