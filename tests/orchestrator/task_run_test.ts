/** Tasks whose replies and events come late, in another order, or not at all. The engine is scripted. */
import { assertEquals } from "@std/assert";
import type { ContainerEventBase } from "../../src/containers/changes/container_events.ts";
import { ContainerHealthMonitor } from "../../src/containers/health/container_health_monitor.ts";
import { EngineError } from "../../src/engine/http/engine_error.ts";
import { ApexOrchestrator, openStorage } from "../../src/orchestrator/mod.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { silentLogger } from "../../src/platform/logger.ts";
import { WorkspaceManager } from "../../src/workspaces/workspace_manager.ts";
import { EmittedManager } from "../support/containers/emitted_manager.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { within } from "../support/within.ts";

const base: ContainerEventBase = {
  containerId: "c1",
  containerName: "apex-task-t1",
  image: "busybox",
  taskId: "t1",
  timestamp: new Date(Date.UTC(2026, 0, 1)),
  success: true,
};
const inspected = {
  Id: "c1",
  Name: "/apex-task-t1",
  Created: "2026-01-01T00:00:00Z",
  Config: { Image: "busybox", Labels: null },
  State: {
    Status: "created",
    Running: false,
    ExitCode: 0,
    OOMKilled: false,
    Error: "",
    StartedAt: "0001-01-01T00:00:00Z",
    FinishedAt: "0001-01-01T00:00:00Z",
  },
};
const died = { ...base, exitCode: 3, oomKilled: false };
const DAY_MS = 24 * 3_600_000;

class Script implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly manager = new EmittedManager();
  readonly published: string[] = [];
  readonly #options = { logger: silentLogger, clock: this.clock };
  readonly #health = new ContainerHealthMonitor({ ...this.#options, manager: this.manager });
  readonly #workspaces = new WorkspaceManager({
    ...this.#options,
    manager: this.manager,
    health: this.#health,
  });
  readonly storage = openStorage({ ...this.#options, path: ":memory:" });
  readonly orchestrator = new ApexOrchestrator({
    ...this.#options,
    workspaces: this.#workspaces,
    store: this.storage.tasks,
  });

  constructor() {
    this.manager.create = () => Promise.resolve({ id: "c1", name: "apex-task-t1", warnings: [] });
    this.manager.start = () => Promise.resolve();
    this.manager.remove = () => Promise.resolve();
    this.orchestrator.on("container:*", (event, name) => {
      this.published.push(event.success ? name : `${event.operation} failed`);
    });
    this.orchestrator.on("workspace-created", () => this.published.push("workspace-created"));
    this.orchestrator.on(
      "task:*",
      (event, name) => this.published.push(`${name} ${event.reason ?? ""}`.trimEnd()),
    );
  }

  run(spec: { timeoutMs?: number } = {}) {
    return this.orchestrator.runTask({ taskId: "t1", image: "busybox", ...spec });
  }

  /** Runs everything that needs neither an event nor time. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 50; turns++) await Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const disposed = this.orchestrator.dispose();
    this.clock.advance(5_000);
    await within(10_000, "disposal", disposed);
    await this.#workspaces[Symbol.asyncDispose]();
    await this.#health[Symbol.asyncDispose]();
    this.storage[Symbol.dispose]();
    assertEquals(this.clock.pendingTimers, 0);
  }
}

const refused = () =>
  Promise.reject(new ApexError("engine", 'exec: "x": executable file not found in $PATH'));

Deno.test("a failed start is published after the container's creation, even if that event is late", async () => {
  await using script = new Script();
  script.manager.start = refused;
  const handle = script.run();
  await script.settle();
  assertEquals([script.published, handle.task.state], [["task:created"], "pending"]);
  script.manager.emit("container:created", base);
  assertEquals((await within(10_000, "its end", handle.ended)).exitCode, 127);
  assertEquals(script.published, [
    "task:created",
    "container:created",
    "workspace-created",
    "task:failed error",
  ]);
});

Deno.test("a failed start waits for the container's creation event for one second", async () => {
  await using script = new Script();
  script.manager.start = refused;
  const handle = script.run();
  await script.settle();
  script.clock.advance(999);
  await script.settle();
  assertEquals(handle.task.state, "pending");
  script.clock.advance(1);
  assertEquals((await within(10_000, "its end", handle.ended)).reason, "error");
});

Deno.test("a failed start ends the task, not the exit that was reported before it", async () => {
  await using script = new Script();
  const reply = Promise.withResolvers<void>();
  script.manager.start = () => reply.promise;
  const handle = script.run();
  await script.settle();
  script.manager.emit("container:created", base);
  script.manager.emit("container:died", { ...died, exitCode: 127 });
  assertEquals(handle.task.state, "pending");
  reply.reject(new ApexError("engine", 'exec: "x": executable file not found in $PATH'));
  const { state, reason, exitCode } = await within(10_000, "its end", handle.ended);
  assertEquals([state, reason, exitCode], ["failed", "error", 127]);
});

Deno.test("a task runs when its start event arrives, although the reply was lost", async () => {
  await using script = new Script();
  const reply = Promise.withResolvers<void>();
  script.manager.start = () => reply.promise;
  const handle = script.run();
  await script.settle();
  script.manager.emit("container:created", base);
  script.manager.emit("container:started", base);
  reply.reject(new ApexError("engine", "connection reset"));
  await script.settle();
  assertEquals(handle.task.state, "running");
  script.manager.emit("container:died", died);
  assertEquals((await within(10_000, "its end", handle.ended)).exitCode, 3);
});

for (const order of ["before", "after"] as const) {
  Deno.test(`a lost start event is replaced when the exit comes ${order} the reply`, async () => {
    await using script = new Script();
    const reply = Promise.withResolvers<void>();
    script.manager.start = () => reply.promise;
    const handle = script.run();
    await script.settle();
    script.manager.emit("container:created", base);
    if (order === "after") reply.resolve();
    await script.settle();
    script.manager.emit("container:died", died);
    reply.resolve();
    const { state, reason, exitCode } = await within(10_000, "its end", handle.ended);
    assertEquals([state, reason, exitCode], ["failed", "exit", 3]);
    assertEquals(script.published.filter((each) => each.startsWith("task:")), [
      "task:created",
      "task:started",
      "task:failed exit",
    ]);
  });
}

Deno.test("a task has failed with lost when its container is removed and the exit is unknown", async () => {
  await using script = new Script();
  const handle = script.run();
  await script.settle();
  script.manager.emit("container:created", base);
  script.manager.emit("container:started", base);
  script.manager.emit("container:removed", { ...base, origin: "reconciled" });
  const { state, reason } = await within(10_000, "its end", handle.ended);
  assertEquals([state, reason], ["failed", "lost"]);
});

Deno.test("a task ignores events of other containers with its label", async () => {
  await using script = new Script();
  const handle = script.run();
  await script.settle();
  script.manager.emit("container:created", base);
  script.manager.emit("container:started", base);
  const stranger = { containerId: "c2", containerName: "stranger" };
  script.manager.emit("container:died", { ...died, ...stranger });
  script.manager.emit("container:removed", { ...base, ...stranger });
  assertEquals(handle.task.state, "running");
});

Deno.test("a refused stop at the timeout is repeated until it succeeds", async () => {
  await using script = new Script();
  let tries = 0;
  script.manager.stop = () =>
    ++tries < 3 ? Promise.reject(new ApexError("engine", "busy")) : Promise.resolve();
  const handle = script.run({ timeoutMs: 30 * DAY_MS });
  await script.settle();
  script.manager.emit("container:created", base);
  script.manager.emit("container:started", base);
  // Longer than the longest delay of a timer.
  script.clock.advance(30 * DAY_MS - 1);
  assertEquals(tries, 0);
  script.clock.advance(1);
  for (const pauseMs of [0, 500, 1_000]) {
    script.clock.advance(pauseMs);
    await script.settle();
  }
  assertEquals(tries, 3);
  script.manager.emit("container:stopped", { ...base, exitCode: 143, graceful: true });
  const { state, reason, exitCode } = await within(10_000, "its end", handle.ended);
  assertEquals([state, reason, exitCode], ["failed", "timeout", 143]);
});

Deno.test("cancelTask() ends a task whose image is being pulled", async () => {
  await using script = new Script();
  const pulling = Promise.withResolvers<void>();
  script.manager.create = (_spec, { abort, onPullProgress } = {}) => {
    onPullProgress?.({ image: "busybox", status: "Downloading" });
    pulling.resolve();
    return new Promise((_, reject) => abort?.addEventListener("abort", () => reject(abort.reason)));
  };
  const statuses: string[] = [];
  const handle = script.orchestrator.runTask({ taskId: "t1", image: "busybox" }, {
    onPullProgress: ({ status }) => void statuses.push(status),
  });
  await within(10_000, "the pull", pulling.promise);
  const task = await within(10_000, "its end", script.orchestrator.cancelTask("t1"));
  assertEquals([task.state, task.containerId, statuses], ["cancelled", undefined, ["Downloading"]]);
  assertEquals(await handle.started, task);
  assertEquals(script.published, ["task:created", "task:cancelled"]);
});

Deno.test("tasks whose image is being pulled do not delay other tasks", async () => {
  await using script = new Script();
  script.manager.create = (spec, { onPullProgress } = {}) => {
    if (spec.image === "busybox") return Promise.resolve({ id: "c1", name: "apex-task-t1", warnings: [] });
    onPullProgress?.({ image: spec.image, status: "Downloading" });
    return new Promise(() => {});
  };
  for (let i = 0; i < 50; i++) script.orchestrator.runTask({ image: "large" });
  script.run();
  await script.settle();
  script.manager.emit("container:created", base);
  script.manager.emit("container:started", base);
  assertEquals(script.orchestrator.getTask("t1")?.state, "running");
});

for (const wasStarted of [true, false]) {
  const outcome = wasStarted ? "was executed" : "was not executed";
  Deno.test(`a start without a reply is checked, and ${outcome}`, async () => {
    await using script = new Script();
    script.manager.start = () => Promise.reject(new EngineError("connection reset by peer"));
    let asked = 0;
    script.manager.inspect = () => {
      if (++asked === 1) return Promise.reject(new EngineError("connection refused"));
      const StartedAt = wasStarted ? "2026-01-01T00:00:00Z" : "0001-01-01T00:00:00Z";
      return Promise.resolve({ ...inspected, State: { ...inspected.State, StartedAt } });
    };
    const handle = script.run();
    script.manager.emit("container:created", base);
    await script.settle();
    assertEquals(script.published, ["task:created", "container:created", "workspace-created"]);
    script.clock.advance(1_000);
    await script.settle();
    if (wasStarted) {
      script.manager.emit("container:started", { ...base, origin: "reconciled" });
      script.manager.emit("container:died", died);
    }
    const { reason, error } = await within(5_000, "the end", handle.ended);
    assertEquals([reason, error], wasStarted ? ["exit", undefined] : ["error", "connection reset by peer"]);
  });
}

Deno.test("keepsContainer() is false for a container that could not be removed, and its row stays unfinished", async () => {
  await using script = new Script();
  script.manager.remove = () => Promise.reject(new ApexError("engine", "device or resource busy"));
  script.manager.records = [
    { id: "c1", name: "apex-task-t1", image: "busybox", labels: {}, state: "exited", taskId: "t1" },
  ];
  const handle = script.run();
  script.manager.emit("container:created", base);
  await script.settle();
  script.manager.emit("container:started", base);
  script.manager.emit("container:died", died);
  await within(5_000, "the end", handle.ended);
  for (let tries = 0; tries < 10; tries++) {
    await script.settle();
    script.clock.advance(5_000);
  }
  await script.settle();
  assertEquals(script.published.filter((event) => event === "container:removed"), []);
  assertEquals(script.storage.tasks.unfinished().map(({ taskId }) => taskId), ["t1"]);
  assertEquals(script.orchestrator.keepsContainer("c1"), false);
});

Deno.test("keepsContainer() is true from the end of a task with keep", async () => {
  await using script = new Script();
  const handle = script.orchestrator.runTask({ taskId: "t1", image: "busybox", keep: true });
  script.manager.emit("container:created", base);
  await script.settle();
  script.manager.emit("container:started", base);
  assertEquals(script.orchestrator.keepsContainer("c1"), false);
  script.manager.emit("container:died", died);
  await within(5_000, "the end", handle.ended);
  await script.settle();
  assertEquals(script.orchestrator.keepsContainer("c1"), true);
  assertEquals(script.orchestrator.keepsContainer("c2"), false);
});
