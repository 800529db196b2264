/** WorkspaceManager with events and replies in every possible order. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ContainerEvents } from "../../src/containers/changes/container_events.ts";
import type { ContainerRecord } from "../../src/containers/container_record.ts";
import { EngineError } from "../../src/engine/http/engine_error.ts";
import { silentLogger } from "../../src/platform/logger.ts";
import { TypedEmitter } from "../../src/platform/typed_emitter.ts";
import type { WorkspaceSpec } from "../../src/workspaces/workspace.ts";
import { WorkspaceManager } from "../../src/workspaces/workspace_manager.ts";
import { EmittedManager } from "../support/containers/emitted_manager.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { within } from "../support/within.ts";

const ID = "c".repeat(64);

const base = {
  containerId: ID,
  containerName: "apex-task-t1",
  image: "busybox",
  taskId: "t1",
  timestamp: new Date(0),
  success: true as const,
};

const record: ContainerRecord = {
  id: ID,
  name: "apex-task-t1",
  image: "busybox",
  taskId: "t1",
  labels: { "apex.managed": "true", "apex.task-id": "t1" },
  state: "exited",
  exitCode: 0,
};

const spec: WorkspaceSpec = {
  taskId: "t1",
  container: { image: "busybox" },
  policy: { cleanupOnComplete: true, preserveOnFailure: false },
};

class Fixture implements AsyncDisposable {
  readonly manager = new EmittedManager();
  readonly health = new TypedEmitter<Pick<ContainerEvents, "container:health">>(() => {});
  readonly clock = new FakeClock();
  readonly errors: string[] = [];
  readonly seen: string[] = [];
  readonly removals: { force?: boolean | undefined; volumes?: boolean | undefined }[] = [];
  readonly workspaces = new WorkspaceManager({
    manager: this.manager,
    health: this.health,
    clock: this.clock,
    logger: { ...silentLogger, error: (message) => void this.errors.push(message) },
  });

  constructor() {
    this.manager.create = ({ name }) => Promise.resolve({ id: ID, name: name ?? "", warnings: [] });
    this.manager.remove = (_id, { force, volumes } = {}) => {
      this.removals.push({ force, volumes });
      return Promise.resolve();
    };
    for (const name of ["container:created", "container:removed", "container:health"] as const) {
      this.workspaces.on(name, () => void this.seen.push(name));
    }
    for (const name of ["workspace-created", "workspace-cleaned"] as const) {
      this.workspaces.on(name, ({ taskId }) => void this.seen.push(`${name} ${taskId}`));
    }
  }

  created(): void {
    this.manager.records = [record];
    this.manager.emit("container:created", base);
  }

  removed(): void {
    this.manager.records = [];
    this.manager.emit("container:removed", base);
  }

  /** Runs the reactions of all settled promises. */
  settle(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workspaces[Symbol.asyncDispose]();
    assertEquals([this.manager.listenerCount(), this.health.listenerCount(), this.clock.pendingTimers], [
      0,
      0,
      0,
    ]);
  }
}

const WHOLE = ["container:created", "workspace-created t1", "container:removed", "workspace-cleaned t1"];

Deno.test("WorkspaceManager forwards the events of both sources in order, and disposal removes its listeners", async () => {
  await using f = new Fixture();
  f.manager.emit("container:created", { ...base, taskId: "other" });
  f.health.emit("container:health", { ...base, status: "healthy" });
  f.manager.emit("container:removed", { ...base, taskId: "other" });
  assertEquals(f.seen, ["container:created", "container:health", "container:removed"]);
  f.workspaces[Symbol.dispose]();
  f.workspaces[Symbol.dispose]();
  assertEquals([f.manager.listenerCount(), f.health.listenerCount()], [0, 0]);
});

Deno.test("workspace events follow the engine's events, before or after its replies", async (t) => {
  await t.step("events after the replies", async () => {
    await using f = new Fixture();
    await f.workspaces.create(spec);
    assertEquals(f.seen, []);
    f.created();
    await f.workspaces.finish("t1", "completed");
    assertEquals(f.seen, WHOLE.slice(0, 2));
    f.removed();
    assertEquals(f.seen, WHOLE);
  });
  await t.step("events before the replies", async () => {
    await using f = new Fixture();
    f.manager.create = ({ name }) => {
      f.created();
      return Promise.resolve({ id: ID, name: name ?? "", warnings: [] });
    };
    f.manager.remove = () => Promise.resolve(f.removed());
    await f.workspaces.create(spec);
    await f.workspaces.finish("t1", "completed");
    assertEquals(f.seen, WHOLE);
  });
  await t.step("both events after both replies", async () => {
    await using f = new Fixture();
    await f.workspaces.create(spec);
    await f.workspaces.finish("t1", "completed");
    f.created();
    f.removed();
    assertEquals(f.seen, WHOLE);
    assertEquals(f.workspaces.list(), []);
  });
});

Deno.test("WorkspaceManager emits no workspace event for a failed operation, or for another container of the task", async () => {
  await using f = new Fixture();
  await f.workspaces.create(spec);
  const failure = { success: false as const, taskId: "t1", timestamp: new Date(0), error: "no" };
  f.manager.emit("container:created", { ...failure, operation: "create" });
  f.manager.emit("container:created", { ...base, containerId: "d".repeat(64), containerName: "helper" });
  f.manager.emit("container:removed", { ...failure, operation: "remove" });
  f.manager.emit("container:removed", { ...base, containerId: "d".repeat(64), containerName: "helper" });
  assertEquals(f.seen.filter((name) => name.startsWith("workspace-")), []);
});

Deno.test("finish() repeats a failed removal by force, with growing delays", async () => {
  await using f = new Fixture();
  await f.workspaces.create(spec);
  f.created();
  f.manager.remove = (_id, { force, volumes } = {}) => {
    f.removals.push({ force, volumes });
    if (f.removals.length === 3) f.removed();
    return f.removals.length < 3
      ? Promise.reject(new EngineError("busy", { status: 500 }))
      : Promise.resolve();
  };
  const finished = f.workspaces.finish("t1", "completed");
  for (const waitMs of [200, 400]) {
    await f.settle();
    f.clock.advance(waitMs);
  }
  await finished;
  assertEquals(f.removals, [
    { force: false, volumes: true },
    { force: true, volumes: true },
    { force: true, volumes: true },
  ]);
  assertEquals([f.seen, f.errors], [WHOLE, []]);
});

Deno.test("finish() logs an error when the engine refuses the removal, and the container becomes an orphan", async () => {
  await using f = new Fixture();
  await f.workspaces.create(spec);
  f.created();
  f.manager.remove = () => Promise.reject(new EngineError("device or resource busy", { status: 500 }));
  let isFinished = false;
  const finished = f.workspaces.finish("t1", "completed").then(() => isFinished = true);
  for (let tries = 0; !isFinished && tries < 20; tries++) {
    assertEquals(f.workspaces.orphans(), [], "still claimed during the attempts");
    await f.settle();
    f.clock.advance(5_000);
    await f.settle();
  }
  await finished;
  assertEquals(f.errors.length, 1);
  assert(
    /cannot remove container apex-task-t1 after 5 attempts: device or resource busy .*orphan/.test(
      f.errors[0]!,
    ),
  );
  assertEquals(f.workspaces.orphans().map(({ taskId }) => taskId), ["t1"]);
  const outcome = await f.workspaces.removeOrphans();
  assertEquals(outcome, {
    removed: [],
    failed: [{ name: "apex-task-t1", error: "device or resource busy" }],
  });
});

Deno.test("finish() removes the container later when the engine does not answer", async (t) => {
  const returns = {
    "when the engine is connected again": (f: Fixture) => {
      f.manager.emit("engine:connected", { engine: "docker", version: "20.10.24", timestamp: new Date(0) });
    },
    "after a minute without a reconnection": (f: Fixture) => f.clock.advance(60_000),
  };
  for (const [name, comeBack] of Object.entries(returns)) {
    await t.step(name, async () => {
      await using f = new Fixture();
      await f.workspaces.create(spec);
      f.created();
      f.manager.remove = () => Promise.reject(new EngineError("cannot reach the engine"));
      let isRemoved: boolean | undefined;
      const finished = f.workspaces.finish("t1", "completed").then((result) => isRemoved = result);
      for (let tries = 0; isRemoved === undefined && tries < 20; tries++) {
        await f.settle();
        f.clock.advance(5_000);
        await f.settle();
      }
      await finished;
      assertEquals([isRemoved, f.workspaces.orphans(), f.errors], [false, [], []]);
      const removed = Promise.withResolvers<void>();
      f.manager.remove = () => {
        f.removed();
        removed.resolve();
        return Promise.resolve();
      };
      comeBack(f);
      await within(5_000, "the removal", removed.promise);
      assertEquals([f.seen, f.workspaces.list()], [WHOLE, []]);
    });
  }
});

Deno.test("finish() resolves when the container does not exist", async (t) => {
  await t.step("when it was removed before the task ended", async () => {
    await using f = new Fixture();
    await f.workspaces.create(spec);
    f.created();
    f.removed();
    assertEquals(f.seen, WHOLE);
    await f.workspaces.finish("t1", "failed");
    assertEquals([f.seen, f.removals, f.workspaces.list()], [WHOLE, [], []]);
  });
  await t.step("when the engine replies that no such container exists", async () => {
    await using f = new Fixture();
    await f.workspaces.create(spec);
    f.created();
    f.manager.remove = () => Promise.reject(new EngineError("no such container", { status: 404 }));
    await f.workspaces.finish("t1", "failed");
    f.removed();
    assertEquals(f.seen, WHOLE);
  });
  await t.step("when another client removes a killed container", async () => {
    await using f = new Fixture();
    await f.workspaces.create(spec);
    f.created();
    f.manager.records = [{ ...record, exitCode: 137 }];
    const finished = f.workspaces.finish("t1", "failed");
    await f.settle();
    f.removed();
    await finished;
    assertEquals([f.seen, f.removals], [WHOLE, []]);
  });
  await t.step("when no other client removes a killed container within half a second", async () => {
    await using f = new Fixture();
    await f.workspaces.create(spec);
    f.created();
    f.manager.records = [{ ...record, exitCode: 137 }];
    const finished = f.workspaces.finish("t1", "failed");
    await f.settle();
    f.clock.advance(500);
    await finished;
    assertEquals(f.removals, [{ force: false, volumes: true }]);
  });
});

Deno.test("create() tries another name when the engine replies that a name is taken, at most five times", async () => {
  await using f = new Fixture();
  const names: string[] = [];
  const taken = (name: string) =>
    new EngineError(`Conflict. The container name "/${name}" is already in use by container "x".`, {
      status: 409,
    });
  f.manager.create = ({ name = "" }) => {
    names.push(name);
    return names.length < 3 ? Promise.reject(taken(name)) : Promise.resolve({ id: ID, name, warnings: [] });
  };
  const { containerName } = await f.workspaces.create(spec);
  assertEquals([names.length, names[0], names[2]], [3, "apex-task-t1", containerName]);
  assertEquals(names.slice(1).every((name) => /^apex-task-t1-[0-9a-f]{4}$/.test(name)), true);

  f.manager.create = ({ name = "" }) => Promise.reject(taken(name));
  await assertRejects(() => f.workspaces.create({ ...spec, taskId: "t2" }), EngineError, "already in use");
  assertEquals(f.workspaces.get("t2"), undefined);
});

Deno.test("a container that appears after create() has failed is removed", async () => {
  await using f = new Fixture();
  f.manager.create = () => Promise.reject(new EngineError("connection lost"));
  await assertRejects(() => f.workspaces.create(spec), EngineError, "connection lost");
  assertEquals(f.workspaces.get("t1"), undefined);
  f.created();
  await f.settle();
  assertEquals(f.removals.length, 1);
  f.removed();
  assertEquals([f.seen, f.workspaces.list()], [WHOLE, []]);
});

Deno.test("WorkspaceManager ignores a container that another instance creates with the expected name", async (t) => {
  for (const hasFailed of [false, true]) {
    await t.step(hasFailed ? "after create() has failed" : "during create()", async () => {
      await using f = new Fixture();
      f.manager.owns = () => false;
      const created = Promise.withResolvers<{ id: string; name: string; warnings: string[] }>();
      f.manager.create = () => created.promise;
      const creating = f.workspaces.create(spec);
      await f.settle();
      if (hasFailed) {
        created.reject(new EngineError("connection lost"));
        await assertRejects(() => creating, EngineError);
      }
      f.created();
      await f.settle();
      assertEquals([f.seen, f.removals, f.workspaces.get("t1")?.containerId], [
        ["container:created"],
        [],
        undefined,
      ]);
      created.resolve({ id: "d".repeat(64), name: "apex-task-t1", warnings: [] });
      if (!hasFailed) assertEquals((await creating).containerId, "d".repeat(64));
    });
  }
});

Deno.test("a failed creation reserves the container's name for a minute", async () => {
  await using f = new Fixture();
  f.manager.create = () => Promise.reject(new EngineError("connection lost"));
  await assertRejects(() => f.workspaces.create(spec), EngineError);
  assertEquals(f.workspaces.list(), [], "no container is known");
  f.clock.advance(60_000);
  f.created();
  assertEquals(f.workspaces.orphans().length, 1);
});

Deno.test("list() shows a leaving workspace with its container, beside the task's new one", async () => {
  await using f = new Fixture();
  await f.workspaces.create(spec);
  f.created();
  const removed = Promise.withResolvers<void>();
  f.manager.remove = () => removed.promise;
  const finished = f.workspaces.finish("t1", "cancelled");
  const states = () => f.workspaces.list().map((each) => f.workspaces.containerOf(each)?.state);
  assertEquals([states(), f.workspaces.container("t1")], [["exited"], undefined]);
  f.manager.create = ({ name = "" }) => Promise.resolve({ id: "d".repeat(64), name, warnings: [] });
  await f.workspaces.create(spec);
  assertEquals([states(), f.workspaces.container("t1")], [["exited", undefined], undefined]);
  removed.resolve();
  await finished;
  f.removed();
});

Deno.test("disposal ends the delays of finish()", async () => {
  await using f = new Fixture();
  await f.workspaces.create(spec);
  f.created();
  f.manager.remove = () => Promise.reject(new EngineError("busy", { status: 500 }));
  const finished = f.workspaces.finish("t1", "completed");
  await f.settle();
  await f.workspaces[Symbol.asyncDispose]();
  await finished;
  assertEquals([f.errors, f.clock.pendingTimers], [[], 0]);
});

Deno.test("removeOrphans() removes running containers by force, and reports each failure", async () => {
  await using f = new Fixture();
  const orphan = (n: number, state: ContainerRecord["state"]): ContainerRecord => ({
    ...record,
    id: String(n).repeat(64),
    name: `apex-task-${n}`,
    taskId: String(n),
    state,
  });
  f.manager.records = [orphan(1, "running"), orphan(2, "exited"), orphan(3, "exited")];
  const forced: [string, boolean | undefined][] = [];
  f.manager.remove = (id, { force } = {}) => {
    forced.push([id.slice(0, 1), force]);
    return id.startsWith("3") ? Promise.reject(new EngineError("busy", { status: 500 })) : Promise.resolve();
  };
  const outcome = await f.workspaces.removeOrphans([
    "111111",
    "apex-task-2",
    "apex-task-3",
    "2".repeat(64),
    "9",
  ]);
  assertEquals(outcome.removed, ["apex-task-1", "apex-task-2"]);
  assertEquals(outcome.failed, [
    { name: "9", error: 'no orphaned workspace "9" (see: apex workspaces)' },
    { name: "apex-task-3", error: "busy" },
  ]);
  assertEquals(forced, [["1", true], ["2", false], ["3", false]]);
});
