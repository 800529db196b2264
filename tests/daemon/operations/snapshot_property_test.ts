/**
 * The whole promise of the snapshot, with a real daemon that is killed repeatedly while containers and tasks change: a client that
 * applies the events after a snapshot to it gets every later snapshot, and a consumer receives over all of its streams what the
 * journal contains, each event once and in order.
 */
import { assert, assertEquals } from "@std/assert";
import { request } from "../../../src/client/control_exchange.ts";
import { openStream } from "../../../src/client/control_stream.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { parseCursor } from "../../../src/protocol/event_operations.ts";
import { ContainerWorld } from "../../support/containers/container_world.ts";
import { ApexHome, eventually } from "../../support/daemons/apex_process.ts";
import { EventView, type Subject } from "../../support/daemons/event_view.ts";
import { type Line, Lines } from "../../support/daemons/lines.ts";
import { ResumingConsumer, type ResumingConsumerOptions } from "../../support/daemons/resuming_consumer.ts";
import { TestEngine } from "../../support/engines/embedded_engine.ts";
import { randomOf } from "../../support/random.ts";
import { soakCount } from "../../support/soak.ts";

const SEEDS = soakCount({ usual: 2, soak: 20 });
const KILLS = soakCount({ usual: 2, soak: 5 });
/** Operations of the test in each run of the daemon. The containers change some ten times during one. */
const STEPS = 25;
const CONTAINERS = ["c0", "c1", "c2", "c3"];
/** With fewer, the test would prove little. */
const MIN_MOMENTS = 10;
const MIN_EVENTS = 200;

/** What a consumer requests, and what it can therefore know. */
interface View {
  readonly filter: ResumingConsumerOptions["filter"];
  readonly passes: (event: Line) => boolean;
  readonly isSeen: (subject: Subject) => boolean;
}

const VIEWS: readonly View[] = [
  { filter: {}, passes: () => true, isSeen: () => true },
  {
    filter: { types: ["container.*"] },
    passes: ({ type }) => type.startsWith("container."),
    isSeen: (subject) => subject.of === "container",
  },
  {
    filter: { types: ["task.*"] },
    passes: ({ type }) => type.startsWith("task."),
    isSeen: (subject) => subject.of === "task",
  },
  {
    filter: { container: "c1" },
    passes: ({ containerName }) => containerName === "c1",
    isSeen: (subject) => subject.of === "container" && subject.name === "c1",
  },
  {
    filter: { task: "t2" },
    passes: ({ taskId }) => taskId === "t2",
    isSeen: ({ taskId }) => taskId === "t2",
  },
];

Deno.test("a snapshot and the events after it make every later snapshot, and no event is lost", async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) await t.step(`seed ${seed}`, () => run(seed));
});

async function run(seed: number): Promise<void> {
  const random = randomOf(seed);
  await using engine = await TestEngine.start();
  await using home = await ApexHome.create();
  await using processes = new AsyncDisposableStack();
  const start = () => home.startDaemon(["--engine", `unix://${engine.socketPath}`]);
  let daemon = processes.use(await start());
  const snapshots = [await takeSnapshot(home)];
  const { cursor } = snapshots[0]!;
  const consumers = VIEWS.map(({ filter }) =>
    processes.use(new ResumingConsumer({ controlSocket: home.controlSocket, filter, after: cursor, random }))
  );
  const some = (): ResumingConsumer => consumers[Math.floor(random() * consumers.length)]!;
  const world = processes.use(new ContainerWorld({ engine, names: CONTAINERS, seed }));
  const over = Promise.all([world.run(), runTasks(home, world, randomOf(-seed))]);
  processes.defer(async () => {
    world.end();
    // A failure is reported below, unless another one came before it.
    await Promise.allSettled([over]);
  });
  for (let kills = 0; kills <= KILLS; kills++) {
    if (kills > 0) {
      daemon.kill("SIGKILL");
      await daemon.status;
      for (let missed = random() * 10; missed > 0; missed--) await world.deed();
      daemon = processes.use(await start());
    }
    for (let step = 0; step < STEPS && !world.isEnding; step++) {
      await world.deed();
      const action = random();
      if (action < 0.4) snapshots.push(await takeSnapshot(home));
      else if (action < 0.6) some().stall();
      else if (action < 0.75) some().goOn();
      else if (action < 0.9) some().hangUp();
    }
  }
  world.end();
  await over;
  await eventually(() => isQuiet(home), "all containers and tasks are removed");
  snapshots.push(await takeSnapshot(home));
  const end = seqOf(snapshots.at(-1)!);
  for (const consumer of consumers) {
    consumer.goOn();
    await consumer.reached(end);
  }

  const journal = (await history(home)).filter(({ seq }) => seq <= end);
  assertEquals(journal.map(({ seq }) => seq), Array.from({ length: end }, (_, index) => index + 1));
  snapshots.push(...consumers.flatMap((consumer) => consumer.snapshots));
  snapshots.sort((a, b) => seqOf(a) - seqOf(b));
  for (const [index, view] of VIEWS.entries()) {
    const events = consumers[index]!.events.filter(({ seq }) => seq <= end);
    assertEquals(events, journal.filter((event) => event.seq > seqOf(snapshots[0]!) && view.passes(event)));
    for (const from of snapshots.keys()) checkLater(snapshots.slice(from), { events, view });
  }
  const isPublished = (type: string, status?: string): boolean =>
    journal.some((event) => event.type === type && event.status === status);
  assert(
    new Set(snapshots.map(seqOf)).size >= MIN_MOMENTS && end >= MIN_EVENTS,
    "a course that proves little",
  );
  assert(
    isPublished("container.health", "healthy") && isPublished("container.health", "unhealthy"),
    "health was published",
  );
}

/** Asserts that the first snapshot and the events after it make each of the others. */
function checkLater(
  snapshots: readonly Line[],
  { events, view: { isSeen, filter } }: { readonly events: readonly Line[]; readonly view: View },
): void {
  const view = EventView.of(snapshots[0]!);
  let done = seqOf(snapshots[0]!);
  for (const snapshot of snapshots.slice(1)) {
    const upTo = seqOf(snapshot);
    for (const event of events) if (event.seq > done && event.seq <= upTo) view.apply(event);
    const why = `from ${snapshots[0]!.cursor} to ${snapshot.cursor}, filter ${JSON.stringify(filter)}`;
    assertEquals(view.shown(isSeen), EventView.of(snapshot).shown(isSeen), why);
    done = upTo;
  }
}

/** One after the other. Each continues when the daemon is killed. */
async function runTasks(home: ApexHome, world: ContainerWorld, random: () => number): Promise<void> {
  for (let id = 0; !world.isEnding; id++) {
    const cmd = ["sh", "-c", `sleep 0.${Math.floor(random() * 9)}; exit ${random() < 0.5 ? 0 : 3}`];
    const task = { taskId: `t${id}`, image: "busybox:local", network: "none", cmd };
    const isCancelled = random() < 0.3;
    try {
      using stream = await openStream(home.controlSocket, "tasks.run", { task });
      for (let frame = await stream.next(); frame !== null; frame = await stream.next()) {
        if (isCancelled && frame.kind === "started") {
          await request(home.controlSocket, "tasks.cancel", { task: task.taskId });
        }
      }
    } catch (error) {
      // No daemon runs, or it was killed during its reply, or the task had ended.
      if (!(error instanceof ApexError)) throw error;
      await world.deed();
    }
  }
}

async function isQuiet(home: ApexHome): Promise<boolean> {
  const { containers } = await request(home.controlSocket, "containers.list", {});
  const { tasks } = await request(home.controlSocket, "tasks.list", {});
  return containers.length === 0 && tasks.length === 0;
}

async function takeSnapshot(home: ApexHome): Promise<Line> {
  using lines = await Lines.openAt(home.controlSocket, "events.subscribe", { snapshot: true });
  return await lines.untilType("stream.snapshot");
}

/** The published events, without their times of publication. */
async function history(home: ApexHome): Promise<Line[]> {
  using lines = await Lines.openAt(home.controlSocket, "events.history", {});
  const all = await lines.all();
  assertEquals(all.pop()?.type, "stream.bye");
  return all.map(({ publishedAt: _, ...event }) => event);
}

function seqOf({ cursor }: Line): number {
  return parseCursor(cursor)!.seq;
}
