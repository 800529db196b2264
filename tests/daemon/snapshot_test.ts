/** Holds what a snapshot is for: a snapshot and the events after it make every later snapshot. */
import { assert, assertEquals } from "@std/assert";
import { ContainerDriver } from "../support/container_driver.ts";
import { randomOf } from "../support/random.ts";
import { type Line, Lines } from "./lines.ts";
import { startOnEmbeddedEngine, type TestDaemon } from "./test_daemon.ts";

/** What a consumer keeps: of each container its run state, exit and health; of each task its state. */
class View {
  readonly containers = new Map<string, { state: string; exitCode?: number; health?: string }>();
  readonly tasks = new Map<string, string>();

  static of(snapshot: Line): View {
    const view = new View();
    for (const { id, state, exitCode, health } of snapshot.containers) {
      view.containers.set(id, {
        state,
        ...(state === "exited" && { exitCode }),
        ...(health !== undefined && { health }),
      });
    }
    for (const { taskId, state } of snapshot.tasks) view.tasks.set(taskId, state);
    return view;
  }

  apply({ type, containerId, taskId, exitCode, status }: Line): void {
    const container = this.containers.get(containerId);
    const kept = container?.health === undefined ? {} : { health: container.health };
    switch (type) {
      case "container.created":
        return void this.containers.set(containerId, { state: "created" });
      case "container.started":
        return void this.containers.set(containerId, { ...kept, state: "running" });
      case "container.died":
      case "container.stopped":
        return void this.containers.set(containerId, { ...kept, state: "exited", exitCode });
      case "container.removed":
        return void this.containers.delete(containerId);
      case "container.health":
        return void this.containers.set(containerId, { ...container!, health: status });
      case "task.created":
        return void this.tasks.set(taskId, "pending");
      case "task.started":
        return void this.tasks.set(taskId, "running");
      case "task.completed":
      case "task.failed":
      case "task.cancelled":
        return void this.tasks.delete(taskId);
    }
  }
}

/** Fewer, and it would prove little; there are some 100 events at least. */
const MIN_MOMENTS = 5;

for (const seed of [1, 2]) {
  Deno.test(`a snapshot and the events after it make every later snapshot (seed ${seed})`, async () => {
    await using given = await startOnEmbeddedEngine();
    const { daemon, engine } = given;
    using driver = new ContainerDriver(engine.socketPath);
    using lines = await Lines.open(daemon, "events.subscribe", { snapshot: true });
    await lines.next();
    const view = View.of((await lines.next())!);
    const random = randomOf(seed);
    const lives = Array.from(
      { length: 4 },
      (_, index) => live(driver, { name: `c${seed}-${index}`, random }),
    );
    let isOver = false;
    const over = Promise.all([...lives, runTasks(daemon, random)]).finally(() => isOver = true);
    // What fails first is told; the rest of it is awaited below.
    over.catch(() => {});
    let seq = 0;
    let moments = 0;
    while (!isOver) {
      const snapshot = await takeSnapshot(daemon);
      const upTo = Number(snapshot.cursor.split(":")[1]);
      if (upTo > seq) moments++;
      while (seq < upTo) {
        const line = (await lines.next())!;
        assertEquals(line.type.startsWith("stream."), false);
        view.apply(line);
        seq = line.seq;
      }
      const expected = View.of(snapshot);
      assertEquals([sorted(view.containers), sorted(view.tasks)], [
        sorted(expected.containers),
        sorted(expected.tasks),
      ], `after event ${seq}`);
    }
    await over;
    assert(moments >= MIN_MOMENTS, `the snapshots were of ${moments} different moments`);
  });
}

async function takeSnapshot(daemon: TestDaemon): Promise<Line> {
  using lines = await Lines.open(daemon, "events.subscribe", { snapshot: true });
  return await lines.untilType("stream.snapshot");
}

/** Makes and ends containers, in each of the ways. */
async function live(
  driver: ContainerDriver,
  { name, random }: { readonly name: string; readonly random: () => number },
): Promise<void> {
  for (let round = 0; round < 8; round++) {
    const code = Math.floor(random() * 100);
    const how = Math.floor(random() * 4);
    const Cmd = how === 0 ? ["sh", "-c", `exit ${code}`] : ["sleep", "600"];
    const id = await driver.create({ name: `${name}-${round}`, Cmd });
    await driver.start(id);
    if (how === 0) await driver.wait(id);
    if (how === 1) await driver.kill(id);
    if (how === 2) await driver.stop(id, { t: 1 });
    await driver.remove(id, { force: true });
  }
}

async function runTasks(daemon: TestDaemon, random: () => number): Promise<void> {
  for (let round = 0; round < 8; round++) {
    await daemon.run({ cmd: ["sh", "-c", `exit ${random() < 0.5 ? 0 : 3}`] });
  }
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => a < b ? -1 : 1);
}
