/** What a comparison publishes after an interrupted stream, and what late events of that stream may add. */
import { assertEquals, assertRejects } from "@std/assert";
import { readSummary } from "../../../src/containers/changes/inspect_facts.ts";
import type { ContainerInspect, ContainerSummary } from "../../../src/engine/engine_types.ts";
import {
  engineEvent,
  EngineFeed,
  type InspectFacts,
  inspectOf,
  summaryOf,
  T0_MS,
} from "../../support/containers/engine_feed.ts";

type Event = readonly [atMs: number, action: string, attributes?: Record<string, string>];

interface Scenario {
  readonly name: string;
  /** Events before the interruption, with the engine's milliseconds. */
  readonly before: readonly Event[];
  /** The container in the list after the interruption; undefined: not in the list. */
  readonly listed?: ContainerSummary;
  /** The answer to an inspect; undefined: no such container. */
  readonly inspect?: InspectFacts;
  readonly reconciled: readonly string[];
  /** Late events of the engine's stream, and what is published for them. */
  readonly late?: readonly Event[];
  readonly afterLate?: readonly string[];
  readonly state?: string;
  /** The list was requested without an interruption. */
  readonly uninterrupted?: true;
}

const exited = (status: string): ContainerSummary => summaryOf("web", { state: "exited", status });
const code = (exitCode: number): Record<string, string> => ({ exitCode: String(exitCode) });

const SCENARIOS: readonly Scenario[] = [
  {
    name: "nothing differs",
    before: [[0, "create"], [10, "start"]],
    listed: summaryOf("web"),
    inspect: { started: 10 },
    reconciled: [],
    state: "running",
  },
  {
    name: "a missed exit",
    before: [[0, "create"], [10, "start"]],
    listed: exited("Exited (3) 1 second ago"),
    inspect: { status: "exited", exitCode: 3, started: 10, finished: 500 },
    reconciled: ["~died web 3"],
    late: [[501, "die", code(3)], [520, "stop"]],
    afterLate: [],
    state: "exited",
  },
  {
    name: "a missed exit without an interruption of the stream",
    uninterrupted: true,
    before: [[0, "create"], [10, "start"]],
    listed: exited("Exited (137) 1 second ago"),
    inspect: { status: "exited", exitCode: 137, oomKilled: true, error: "no", started: 10, finished: 500 },
    reconciled: ["~died web 137 SIGKILL oom"],
  },
  {
    name: "a missed exit after a stop that was seen",
    before: [[0, "create"], [10, "start"], [400, "kill", { signal: "15" }], [410, "stop"]],
    listed: exited("Exited (0) 1 second ago"),
    inspect: { status: "exited", exitCode: 0, started: 10, finished: 405 },
    reconciled: ["~stopped web 0"],
  },
  {
    name: "a missed exit after a kill that was seen: the late stop decides",
    before: [[0, "create"], [10, "start"], [400, "kill", { signal: "15" }]],
    listed: exited("Exited (0) 1 second ago"),
    inspect: { status: "exited", exitCode: 0, started: 10, finished: 405 },
    reconciled: [],
    late: [[406, "die", code(0)], [410, "stop"]],
    afterLate: ["~stopped web 0"],
  },
  {
    name: "a held verdict is not published a second time",
    before: [[0, "create"], [10, "start"], [400, "kill", { signal: "15" }], [405, "die", code(0)]],
    listed: exited("Exited (0) 1 second ago"),
    inspect: { status: "exited", exitCode: 0, started: 10, finished: 404 },
    reconciled: [],
    late: [[410, "stop"]],
    afterLate: ["stopped web 0"],
  },
  {
    name: "a missed restart: an exit that the engine no longer knows is not published",
    before: [[0, "create"], [10, "start"]],
    listed: summaryOf("web"),
    inspect: { started: 700, finished: 600 },
    reconciled: ["~started web"],
    late: [[601, "die", code(1)], [701, "start"]],
    afterLate: [],
    state: "running",
  },
  {
    name: "a missed start and its real end",
    before: [[0, "create"]],
    listed: summaryOf("web"),
    inspect: { started: 700 },
    reconciled: ["~started web"],
    late: [[701, "start"], [900, "die", code(2)]],
    afterLate: ["died web 2"],
  },
  {
    name: "a missed whole run of an exited container",
    before: [[0, "create"], [10, "start"], [20, "die", code(1)]],
    listed: exited("Exited (1) 1 second ago"),
    inspect: { status: "exited", exitCode: 1, started: 500, finished: 600 },
    reconciled: ["~started web", "~died web 1"],
    late: [[501, "start"], [601, "die", code(1)], [800, "start"]],
    afterLate: ["started web"],
    state: "running",
  },
  {
    name: "a container created in the gap, with its run",
    before: [],
    listed: exited("Exited (5) 1 second ago"),
    inspect: { status: "exited", exitCode: 5, created: 100, started: 110, finished: 120 },
    reconciled: ["~created web", "~started web", "~died web 5"],
    late: [[100, "create"], [111, "start"], [121, "die", code(5)], [130, "destroy"]],
    afterLate: ["removed web 5"],
  },
  {
    name: "a container that restarts in the gap",
    before: [[0, "create"], [10, "start"]],
    listed: summaryOf("web", { state: "restarting", status: "Restarting (1) 1 second ago" }),
    inspect: { status: "restarting", exitCode: 1, started: 10, finished: 500 },
    reconciled: ["~died web 1"],
    state: "restarting",
  },
  {
    name: "a vanished container that ran: no exit is invented",
    before: [[0, "create"], [10, "start"]],
    reconciled: ["~removed web"],
    late: [[501, "destroy"]],
    afterLate: [],
  },
  {
    name: "a vanished container whose exit the stream still reports",
    before: [[0, "create"], [10, "start"]],
    reconciled: ["~removed web"],
    late: [[500, "kill", { signal: "9" }], [501, "die", code(137)], [502, "destroy"]],
    afterLate: ["died web 137 SIGKILL"],
  },
  {
    name: "a vanished container that had ended",
    before: [[0, "create"], [10, "start"], [20, "die", code(4)]],
    reconciled: ["~removed web 4"],
  },
  {
    name: "an existing container that an older list lacks",
    before: [[0, "create"], [10, "start"]],
    inspect: { started: 10 },
    reconciled: [],
    state: "running",
  },
  {
    name: "pause and rename change the registry",
    before: [[0, "create"], [10, "start"]],
    listed: summaryOf("web", { name: "web2", state: "paused", status: "Up 1 second (Paused)" }),
    inspect: { name: "web2", status: "paused", started: 10 },
    reconciled: [],
    state: "paused",
  },
  {
    name: "a missed change of health",
    before: [[0, "create"], [10, "start"], [20, "health_status: healthy"]],
    listed: summaryOf("web", { status: "Up 1 minute (unhealthy)" }),
    inspect: { started: 10, health: "unhealthy" },
    reconciled: ["~health web healthy>unhealthy"],
    late: [[500, "health_status: unhealthy"], [600, "health_status: healthy"]],
    afterLate: ["health web unhealthy>healthy"],
  },
  {
    name: "a health check that began in the gap is not a change",
    before: [[0, "create"], [10, "start"]],
    listed: summaryOf("web", { status: "Up 1 second (health: starting)" }),
    inspect: { started: 10, health: "starting" },
    reconciled: [],
  },
];

for (const scenario of SCENARIOS) {
  Deno.test(`reconcile: ${scenario.name}`, async () => {
    await using feed = new EngineFeed();
    feed.connect();
    const say = ([atMs, action, attributes]: Event, startMs: number): void => {
      feed.clock.advance(Math.max(0, startMs + atMs - feed.clock.now()));
      feed.say(action, "web", attributes);
    };
    const startMs = feed.clock.now();
    for (const event of scenario.before) say(event, startMs);
    await feed.settle();
    feed.take();

    const list = scenario.listed === undefined ? [] : [scenario.listed];
    feed.answer = (id) => scenario.inspect && inspectOf(id, scenario.inspect);
    if (scenario.uninterrupted !== true) {
      feed.tracker.disconnected("cut");
      feed.connect(list, { first: false });
    }
    await feed.reconcile(list);
    assertEquals(feed.take(), scenario.reconciled);
    for (const event of scenario.late ?? []) {
      // A late event has an old engine time, and arrives now.
      const [atMs, action, attributes] = event;
      feed.deliver({
        type: "container",
        action,
        id: "web",
        attributes: { image: "busybox:local", name: "web", ...attributes },
        timeNano: (startMs + atMs) * 1e6,
      });
    }
    await feed.settle();
    if (scenario.afterLate !== undefined) assertEquals(feed.take(), scenario.afterLate);
    if (scenario.state !== undefined) assertEquals(feed.tracker.registry.list()[0]?.state, scenario.state);

    if (scenario.late !== undefined) return;
    feed.clock.advance(5_000);
    feed.take();
    await feed.reconcile(feed.tracker.registry.list().length === 0 ? [] : list);
    assertEquals(feed.take(), [], "a second comparison finds no differences");
  });
}

Deno.test("the first list is silent, and so is what is older than it", async () => {
  await using feed = new EngineFeed();
  feed.connect([
    summaryOf("web", { status: "Up 5 minutes (healthy)", labels: { "apex.task-id": "t" } }),
    summaryOf("old", { state: "exited", status: "Exited (3) 2 weeks ago" }),
  ]);
  const silently = (action: string, id: string, attributes = {}): void =>
    feed.deliver({
      type: "container",
      action,
      id,
      attributes: { name: id, image: "i", ...attributes },
      timeNano: (feed.clock.now() - 1_000) * 1e6,
    }, true);
  silently("start", "old");
  silently("die", "old", code(1)); // the list is newer
  silently("create", "ran");
  silently("start", "ran");
  assertEquals(feed.take(), []);
  assertEquals(
    feed.tracker.registry.list().map(({ name, state, taskId, exitCode, health }) => ({
      name,
      state,
      taskId,
      exitCode,
      health,
    })),
    [
      { name: "web", state: "running", taskId: "t", exitCode: undefined, health: "healthy" },
      { name: "old", state: "exited", taskId: undefined, exitCode: 3, health: undefined },
      { name: "ran", state: "running", taskId: undefined, exitCode: undefined, health: undefined },
    ],
  );
  feed.say("die", "ran", code(9));
  feed.say("destroy", "ran");
  feed.say("start", "web"); // published after the baseline, although the list already contained it
  assertEquals(feed.take(), ["died ran 9", "removed ran 9", "started web"]);
  assertEquals(feed.reconcileRequests, 0);
});

Deno.test("a kill before the baseline still explains the exit after it", async () => {
  await using feed = new EngineFeed();
  feed.connect([summaryOf("web")]);
  feed.deliver({
    type: "container",
    action: "kill",
    id: "web",
    attributes: { name: "web", image: "i", signal: "15" },
    timeNano: (feed.clock.now() - 500) * 1e6,
  }, true);
  feed.say("die", "web", code(143));
  assertEquals(feed.take(), []);
  feed.say("stop", "web");
  assertEquals(feed.take(), ["stopped web 143"]);
});

Deno.test("a silent exit is applied at once, even after a kill that may be part of a stop", async () => {
  for (const signal of ["9", "15"]) {
    await using feed = new EngineFeed();
    const timeMs = feed.clock.now() - 1_000;
    const silently = (action: string, attributes: Record<string, string> = {}): void =>
      feed.deliver(engineEvent(action, "web", { timeMs, attributes }), true);
    feed.connect();
    silently("start");
    silently("kill", { signal });
    silently("die", { exitCode: "137" });
    silently("destroy");
    assertEquals([feed.tracker.registry.list(), feed.inspected, feed.take()], [[], [], []]);
  }
});

Deno.test("a container of the baseline gets its start from an inspect, silently, and its stop signal too", async () => {
  await using feed = new EngineFeed();
  feed.connect([summaryOf("web")]);
  feed.answer = (id) => inspectOf(id, { started: -60_000, stopSignal: "SIGKILL" });
  await feed.reconcile([summaryOf("web")]);
  assertEquals(feed.take(), []);
  assertEquals(feed.tracker.registry.list()[0]?.startedAt?.getTime(), T0_MS - 60_000);
  feed.say("kill", "web", { signal: "9" });
  feed.say("die", "web", code(137));
  feed.say("stop", "web");
  assertEquals(feed.inspected, ["web"]);
  assertEquals(feed.take(), ["stopped web 137"]);
});

Deno.test("another engine has a new baseline, and nothing is published as removed", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  feed.tracker.disconnected("moved");
  feed.connect([summaryOf("other")], { first: false, engineId: "engine-2" });
  feed.answer = (id) => inspectOf(id, { started: -5_000 });
  await feed.reconcile([summaryOf("other")]);
  assertEquals(feed.take(), ["started web"]);
  assertEquals(feed.tracker.registry.list().map((container) => container.name), ["other"]);
});

Deno.test("an event during the inspect supersedes the inspect's answer", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  feed.tracker.disconnected("cut");
  const list = [exited("Exited (0) 1 second ago")];
  feed.connect(list, { first: false });
  let asked = 0;
  feed.answer = (id) => {
    if (asked++ === 0) feed.say("die", "web", code(7));
    return inspectOf(id, { status: "exited", exitCode: 7, started: 0, finished: 0 });
  };
  await feed.reconcile(list);
  assertEquals(feed.take(), ["started web", "died web 7"]);
  assertEquals([asked, feed.reconcileRequests], [2, 0]);
  assertEquals(feed.clock.pendingTimers, 0);
});

Deno.test("what the stream reports within half a second is not inferred", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("create", "web");
  feed.take();
  feed.answer = (id) => inspectOf(id, { started: 0 });
  const done = feed.tracker.reconcile([summaryOf("web")], new AbortController().signal);
  await feed.settle();
  feed.clock.advance(499);
  feed.say("start", "web");
  feed.clock.advance(1);
  await done;
  assertEquals(feed.take(), ["started web"]);
  assertEquals(feed.clock.pendingTimers, 0);
});

Deno.test("a container that cannot be inspected fails the comparison, after all others are compared", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  for (const id of ["a", "b", "c"]) feed.say("start", id);
  feed.tracker.disconnected("cut");
  const list = ["a", "b", "c"].map((id) =>
    summaryOf(id, { state: "exited", status: "Exited (1) 1 second ago" })
  );
  feed.connect(list, { first: false });
  feed.take();
  feed.answer = (id) => {
    if (id === "b") throw new Error("500");
    return inspectOf(id, { status: "exited", exitCode: 1, started: 0, finished: 0 });
  };
  await assertRejects(() => feed.reconcile(list), Error, "500");
  assertEquals(feed.take(), ["~died a 1", "~died c 1"]);
});

Deno.test("reconcile inspects at most eight containers at once, and stops when it is aborted", async () => {
  await using feed = new EngineFeed();
  const list = Array.from({ length: 50 }, (_, index) => summaryOf(`c${index}`));
  feed.connect(list);
  feed.tracker.disconnected("cut");
  feed.connect(list, { first: false });
  feed.answer = () => new Promise(() => {});
  const abort = new AbortController();
  const done = feed.tracker.reconcile(list, abort.signal);
  await feed.settle();
  assertEquals(feed.inspected.length, 8);
  abort.abort();
  await done;
  assertEquals(feed.inspected.length, 8);
});

Deno.test("a start of a container that was seen running requests a new list", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  assertEquals(feed.reconcileRequests, 0);
  feed.say("start", "web");
  assertEquals(feed.reconcileRequests, 1);
  assertEquals(feed.take(), ["started web", "started web"]);
});

Deno.test("events after the removal still have the task id, for the last 1,024 removed containers", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  for (let i = 0; i < 1_030; i++) {
    feed.say("create", `c${i}`, { "apex.task-id": `t${i}` });
    feed.say("destroy", `c${i}`);
  }
  feed.lifecycle.length = 0;
  feed.say("stop", "c1029", { name: "x" });
  assertEquals(feed.lifecycle.map((event) => event.taskId), ["t1029"]);
  feed.say("stop", "c0", { name: "x" });
  assertEquals(feed.lifecycle.at(-1)?.taskId, undefined);
});

Deno.test("readSummary() reads Docker's and Podman's lists", () => {
  const cases: readonly (readonly [string, string, Partial<ReturnType<typeof readSummary>>])[] = [
    ["running", "Up 5 seconds (healthy)", { state: "running", health: "healthy" }],
    ["running", "Up 5 seconds (health: starting)", { state: "running", health: "starting" }],
    ["paused", "Up 5 seconds (Paused)", { state: "paused" }],
    ["exited", "Exited (137) 2 minutes ago", { state: "exited", exitCode: 137 }],
    ["dead", "Dead", { state: "exited" }],
    ["configured", "Created", { state: "created" }],
    ["stopped", "Exited (0) 1 second ago", { state: "exited", exitCode: 0 }],
  ];
  for (const [state, status, expected] of cases) {
    const { labels: _labels, id: _id, name: _name, image: _image, createdAtNano: _created, ...read } =
      readSummary(summaryOf("web", { state, status }));
    assertEquals(read as typeof expected, expected);
  }
  assertEquals(readSummary(summaryOf("web", { state: "removing" })).state, undefined);
  assertEquals(readSummary({ ...summaryOf("web"), Names: ["/other/alias", "/web"] }).name, "web");
  assertEquals(readSummary({ ...summaryOf("web"), Names: null }).name, "");
});

Deno.test("a container with an inspect under way is compared after the answer", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  feed.tracker.disconnected("cut");
  const list = [exited("Exited (7) 1 second ago")];
  feed.connect(list, { first: false });
  const slow = Promise.withResolvers<ContainerInspect>();
  const facts = { status: "exited", exitCode: 7, started: 0, finished: 0 };
  feed.answer = (id) => feed.inspected.length === 1 ? slow.promise : inspectOf(id, facts);
  feed.say("die", "web", code(255));
  await feed.reconcile(list);
  assertEquals(
    [feed.take(), feed.reconcileRequests],
    [["started web"], 0],
    "no comparison is requested before the answer",
  );
  assertEquals(feed.tracker.isCaughtUp, true);
  slow.resolve(inspectOf("web", facts));
  await feed.settle();
  assertEquals([feed.take(), feed.reconcileRequests], [["died web 7"], 1]);
  await feed.reconcile(list);
  assertEquals([feed.take(), feed.reconcileRequests], [[], 1]);
});

Deno.test("a delayed container is compared once too many changes wait and its inspect is abandoned", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  feed.tracker.disconnected("cut");
  const list = [exited("Exited (7) 1 second ago")];
  feed.connect(list, { first: false });
  const facts = { status: "exited", exitCode: 7, started: 0, finished: 0 };
  feed.answer = (id) => feed.inspected.length === 1 ? new Promise(() => {}) : inspectOf(id, facts);
  feed.say("die", "web", code(255));
  await feed.reconcile(list);
  assertEquals(feed.reconcileRequests, 0);
  for (let i = 0; i < 257; i++) feed.say("rename", "web", { name: "web" });
  assertEquals([feed.take(), feed.reconcileRequests], [["started web", "died web 255"], 1]);
});
