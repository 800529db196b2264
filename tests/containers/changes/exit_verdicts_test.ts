/** Verdicts for orders of events that no recording contains, and for slow or failing inspects. */
import { assertEquals } from "@std/assert";
import type { ContainerInspect } from "../../../src/engine/engine_types.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import { EngineFeed, inspectOf, summaryOf } from "../../support/containers/engine_feed.ts";

/** One line of a scenario: wait `afterMs` milliseconds, then deliver this event. */
type Line = readonly [afterMs: number, action: string, attributes?: Record<string, string>];

interface Scenario {
  readonly name: string;
  readonly engine?: "docker" | "podman" | "embedded";
  readonly events: readonly Line[];
  readonly stopSignal?: string;
  /** Published up to the last event and the answers to its inspects. */
  readonly at?: readonly string[];
  /** Published in total, once every deadline has passed. */
  readonly all: readonly string[];
  /** The container's state in the registry at the end. */
  readonly state?: string;
}

const TERM = { signal: "15" };
const KILL = { signal: "9" };
const code = (exitCode: number): Record<string, string> => ({ exitCode: String(exitCode) });

const SCENARIOS: readonly Scenario[] = [
  {
    name: "a graceful stop that takes four seconds is a stop",
    events: [[0, "start"], [10, "kill", TERM], [4_000, "die", code(0)], [155, "stop"]],
    at: ["started web", "stopped web 0"],
    all: ["started web", "stopped web 0"],
  },
  {
    name: "a stop event 1.9 s after die is still a stop",
    events: [[0, "start"], [10, "kill", TERM], [10, "die", code(0)], [1_900, "stop"]],
    all: ["started web", "stopped web 0"],
  },
  {
    name: "a stop event more than 2 s after die is too late",
    events: [[0, "start"], [10, "kill", TERM], [10, "die", code(0)], [2_100, "stop"]],
    all: ["started web", "died web 0"],
  },
  {
    name: "an exit long after kill TERM gives died, without a signal if its code has none",
    events: [[0, "start"], [10, "kill", TERM], [3_600_000, "die", code(4)]],
    at: ["started web"],
    all: ["started web", "died web 4"],
  },
  {
    name: "kill TERM that ends the process gives died by SIGTERM",
    events: [[0, "start"], [10, "kill", TERM], [10, "die", code(143)]],
    at: ["started web"],
    all: ["started web", "died web 143 SIGTERM"],
  },
  {
    name: "exit 143 without a kill gives died without a signal",
    events: [[0, "start"], [10, "die", code(143)]],
    at: ["started web", "died web 143"],
    all: ["started web", "died web 143"],
  },
  {
    name: "exit 139 without a kill gives died by SIGSEGV",
    events: [[0, "start"], [10, "die", code(139)]],
    all: ["started web", "died web 139 SIGSEGV"],
  },
  {
    name: "exit codes outside the range of signals name no signal",
    events: [[0, "start"], [10, "die", code(128)], [10, "start"], [10, "die", code(255)]],
    all: ["started web", "died web 128", "started web", "died web 255"],
  },
  {
    name: "a kill of an earlier run does not affect a later exit",
    events: [[0, "start"], [1, "kill", TERM], [1, "die", code(143)], [1, "start"], [1, "die", code(143)]],
    at: ["started web", "died web 143 SIGTERM", "started web", "died web 143"],
    all: ["started web", "died web 143 SIGTERM", "started web", "died web 143"],
  },
  {
    name: "a held verdict gives died once the container starts again",
    events: [[0, "start"], [1, "kill", { signal: "1" }], [1, "die", code(0)], [50, "start"]],
    at: ["started web", "died web 0", "started web"],
    all: ["started web", "died web 0", "started web"],
  },
  {
    name: "restart: the stop comes before the new start",
    events: [
      [0, "start"],
      [1, "kill", TERM],
      [1, "die", code(0)],
      [5, "stop"],
      [50, "start"],
      [0, "restart"],
    ],
    at: ["started web", "stopped web 0", "started web"],
    all: ["started web", "stopped web 0", "started web"],
  },
  {
    name: "auto-remove: destroy may come before stop, and the stop is published first",
    events: [[0, "start"], [1, "kill", TERM], [50, "die", code(0)], [16, "destroy"], [19, "stop"]],
    at: ["started web", "stopped web 0", "removed web 0"],
    all: ["started web", "stopped web 0", "removed web 0"],
  },
  {
    name: "kill TERM of an auto-removed container gives died, published before its removal",
    events: [[0, "start"], [1, "kill", TERM], [50, "die", code(143)], [16, "destroy"]],
    at: ["started web"],
    all: ["started web", "died web 143 SIGTERM", "removed web 143"],
  },
  {
    name: "once the container is removed, the verdict is held for only one more second",
    events: [[0, "start"], [1, "kill", TERM], [5, "die", code(143)], [5, "destroy"], [1_001, "stop"]],
    at: ["started web", "died web 143 SIGTERM", "removed web 143"],
    all: ["started web", "died web 143 SIGTERM", "removed web 143"],
  },
  {
    name: "a late kill, a rename and a health report do not end the hold",
    events: [
      [0, "start"],
      [1, "kill", TERM],
      [10, "die", code(137)],
      [1, "kill", KILL],
      [1, "rename", { name: "web2" }],
      [1, "health_status: unhealthy", { name: "web2" }],
      [1, "exec_die"],
      [1, "stop"],
    ],
    at: ["started web", "stopped web 137", "health web2 ?>unhealthy"],
    all: ["started web", "stopped web 137", "health web2 ?>unhealthy"],
  },
  {
    name: "kill KILL gives died at once",
    events: [[0, "start"], [1, "kill", KILL], [1, "die", code(137)]],
    at: ["started web", "died web 137 SIGKILL"],
    all: ["started web", "died web 137 SIGKILL"],
  },
  {
    name: "with a stop signal of 9, kill 9 may be a stop",
    stopSignal: "SIGKILL",
    events: [[0, "start"], [1, "kill", KILL], [1, "die", code(137)], [20, "stop"]],
    at: ["started web", "stopped web 137"],
    all: ["started web", "stopped web 137"],
  },
  {
    name: "with a stop signal of 9 written as a number, kill 9 without stop gives died after 2 s",
    stopSignal: "9",
    events: [[0, "start"], [1, "kill", KILL], [1, "die", code(137)]],
    at: ["started web"],
    all: ["started web", "died web 137 SIGKILL"],
  },
  {
    name: "with another stop signal, a kill by it may be a stop",
    stopSignal: "SIGUSR1",
    events: [[0, "start"], [1, "kill", { signal: "10" }], [1, "die", code(0)], [20, "stop"]],
    at: ["started web", "stopped web 0"],
    all: ["started web", "stopped web 0"],
  },
  {
    name: "stop before die (Podman's order) is a stop on Docker too",
    events: [[0, "start"], [1, "kill", TERM], [1, "stop"], [1, "die", code(0)]],
    at: ["started web", "stopped web 0"],
    all: ["started web", "stopped web 0"],
  },
  {
    name: "a stop of an ended container does not affect a later run",
    events: [[0, "start"], [1, "die", code(1)], [1, "stop"], [1, "start"], [1, "die", code(1)]],
    all: ["started web", "died web 1", "started web", "died web 1"],
  },
  {
    name: "podman: stop then die is a stop, also where a label is named exitCode",
    engine: "podman",
    events: [
      [0, "create", { exitCode: "7", containerExitCode: "0", podId: "" }],
      [0, "start"],
      [1, "stop"],
      [1, "died", { exitCode: "0", containerExitCode: "0" }],
      [1, "cleanup"],
      [1, "remove"],
    ],
    at: ["created web", "started web", "stopped web 0", "removed web 0"],
    all: ["created web", "started web", "stopped web 0", "removed web 0"],
  },
  {
    name: "podman: a kill event without a signal does not hold the verdict, and may explain any signal",
    engine: "podman",
    events: [[0, "start"], [1, "kill"], [1, "die", code(143)]],
    at: ["started web", "died web 143 SIGTERM"],
    all: ["started web", "died web 143 SIGTERM"],
  },
  {
    name: "podman: the die event reports an OOM kill",
    engine: "podman",
    events: [[0, "start"], [1, "die", { exitCode: "137", oomKilled: "true" }]],
    all: ["started web", "died web 137 SIGKILL oom"],
  },
  {
    name: "podman: a start after the die of the same run leaves no running container",
    engine: "podman",
    events: [[0, "create"], [2, "die", code(0)], [-1, "start"]],
    all: ["created web", "died web 0", "started web"],
    state: "exited",
  },
  {
    name: "the embedded engine speaks Docker's dialect",
    engine: "embedded",
    events: [[0, "start"], [1, "kill", TERM], [1, "die", code(0)], [10, "stop"], [1, "destroy"]],
    at: ["started web", "stopped web 0", "removed web 0"],
    all: ["started web", "stopped web 0", "removed web 0"],
  },
  {
    name: "a kill whose signal a label hides may be a stop",
    events: [[0, "create", KILL], [0, "start"], [1, "kill", KILL], [1, "die", code(0)], [1, "stop"]],
    all: ["created web", "started web", "stopped web 0"],
  },
  {
    name: "events after the removal are not published",
    events: [[0, "start"], [1, "die", code(0)], [1, "destroy"], [1, "destroy"], [1, "stop"]],
    all: ["started web", "died web 0", "removed web 0"],
  },
];

for (const scenario of SCENARIOS) {
  Deno.test(`exit verdict: ${scenario.name}`, async () => {
    await using feed = new EngineFeed(scenario.engine ?? "docker");
    feed.connect();
    if (scenario.stopSignal !== undefined) {
      const { stopSignal } = scenario;
      feed.answer = (id) => inspectOf(id, { stopSignal, started: 0 });
    }
    for (const [afterMs, action, attributes] of scenario.events) {
      feed.clock.advance(afterMs);
      feed.say(action, "web", attributes);
      await feed.settle();
    }
    const soFar = feed.take();
    if (scenario.at !== undefined) assertEquals(soFar, scenario.at);
    feed.clock.advance(10_000);
    assertEquals([...soFar, ...feed.take()], scenario.all);
    assertEquals(feed.clock.pendingTimers, 0);
    if (scenario.state !== undefined) assertEquals(feed.tracker.registry.list()[0]?.state, scenario.state);
  });
}

Deno.test("many interleaved stops are each published once, as stops", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  const ids = Array.from({ length: 50 }, (_, index) => `c${index}`);
  for (const id of ids) feed.say("start", id);
  for (const id of ids) feed.say("kill", id, TERM);
  feed.clock.advance(100);
  for (const id of ids.toReversed()) feed.say("die", id, code(0));
  feed.take();
  feed.clock.advance(500);
  for (const id of ids) feed.say("stop", id);
  assertEquals(feed.take(), ids.map((id) => `stopped ${id} 0`));
  assertEquals(feed.clock.pendingTimers, 0);
});

Deno.test("a container that waits for an inspect does not delay other containers", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  const slow = Promise.withResolvers<ContainerInspect>();
  feed.answer = () => slow.promise;
  feed.say("start", "hog");
  feed.say("oom", "hog");
  feed.say("die", "hog", code(137));
  feed.say("start", "hog");
  feed.say("start", "other");
  feed.say("die", "other", code(0));
  assertEquals(feed.take(), ["started hog", "started other", "died other 0"]);
  slow.resolve(inspectOf("hog", { status: "exited", exitCode: 137, oomKilled: true, started: 0 }));
  await feed.settle();
  assertEquals(feed.take(), ["died hog 137 SIGKILL oom", "started hog"]);
});

Deno.test("the wait for an inspect ends after one second", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.answer = () => new Promise(() => {});
  feed.say("start", "hog");
  feed.say("oom", "hog");
  feed.say("die", "hog", code(137));
  feed.say("destroy", "hog");
  feed.clock.advance(999);
  assertEquals(feed.take(), ["started hog"]);
  feed.clock.advance(1);
  assertEquals(feed.take(), ["died hog 137 SIGKILL oom", "removed hog 137"]);
});

Deno.test("exit code 255 is inspected, and published if the inspect confirms it", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.answer = (id) => inspectOf(id, { status: "exited", exitCode: 255, started: 0 });
  feed.say("start", "web");
  feed.say("die", "web", code(255));
  await feed.settle();
  assertEquals(feed.take(), ["started web", "died web 255"]);
  assertEquals(feed.inspected, ["web"]);
});

Deno.test("exit code 255 from an engine that goes down is inspected when the engine is back", async (t) => {
  const untilDown: Record<string, (feed: EngineFeed) => Promise<void>> = {
    "the connection breaks during the inspect": async (feed) => {
      feed.answer = () => new Promise(() => {});
      feed.say("die", "web", code(255));
      await feed.settle();
      feed.clock.advance(1_004);
    },
    "the engine refuses connections before the stream breaks": async (feed) => {
      feed.answer = () => Promise.reject(new EngineError("connection refused"));
      feed.say("die", "web", code(255));
      await feed.settle();
      feed.clock.advance(1_000);
      await feed.settle();
      assertEquals(feed.inspected, ["web", "web"]);
    },
  };
  for (const [name, goDown] of Object.entries(untilDown)) {
    await t.step(name, async () => {
      await using feed = new EngineFeed();
      feed.connect();
      feed.say("start", "web");
      await goDown(feed);
      feed.tracker.disconnected("dockerd is down");
      await feed.settle();
      assertEquals(feed.clock.pendingTimers, 0);
      feed.clock.advance(3_600_000);
      await feed.settle();
      assertEquals(feed.take(), ["started web"]);
      feed.answer = (id) => inspectOf(id, { status: "exited", exitCode: 75, started: 0, finished: 1 });
      feed.connect([], { first: false });
      await feed.reconcile([summaryOf("web", { state: "exited", status: "Exited (75) 1 hour ago" })]);
      assertEquals(feed.take(), ["died web 75"]);
      assertEquals(feed.clock.pendingTimers, 0);
    });
  }
});

Deno.test("a change whose inspect is not about an exit code is published although the engine is disconnected", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.answer = () => new Promise(() => {});
  feed.say("start", "hog");
  feed.say("oom", "hog");
  feed.say("die", "hog", code(137));
  feed.say("start", "web");
  feed.say("health_status: unhealthy", "web");
  feed.tracker.disconnected("dockerd is down");
  feed.clock.advance(1_000);
  assertEquals(feed.take(), [
    "started hog",
    "started web",
    "died hog 137 SIGKILL oom",
    "health web starting>unhealthy",
  ]);
});

Deno.test("the answer to an abandoned inspect is not taken for the answer to the next one", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  const answers = [Promise.withResolvers<ContainerInspect>(), Promise.withResolvers<ContainerInspect>()];
  feed.answer = () => answers[feed.inspected.length - 1]!.promise;
  feed.say("start", "web");
  feed.say("die", "web", code(255));
  for (let i = 0; i < 257; i++) feed.say("rename", "web", { name: "web" }); // more than MAX_WAITING
  assertEquals(feed.take(), ["started web", "died web 255"]);
  feed.clock.advance(500);
  feed.say("start", "web");
  feed.say("die", "web", code(255));
  answers[0]!.resolve(inspectOf("web", { status: "exited", exitCode: 75, started: 0 }));
  await feed.settle();
  assertEquals(feed.take(), ["started web"]);
  answers[1]!.resolve(inspectOf("web", { status: "exited", exitCode: 4, started: 500 }));
  await feed.settle();
  assertEquals(feed.take(), ["died web 4"]);
});

Deno.test("with an unknown stop signal, kill 9 may be a stop, and its verdict is held", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.answer = () => new Promise(() => {});
  feed.say("start", "web");
  feed.say("kill", "web", KILL);
  feed.say("die", "web", code(137));
  feed.clock.advance(1_000); // the wait for the inspect ends
  await feed.settle();
  assertEquals(feed.take(), ["started web"]);
  feed.say("stop", "web");
  assertEquals(feed.take(), ["stopped web 137"]);
});

Deno.test("a stop that waits behind an inspect counts, even if the container is removed by then", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  feed.say("kill", "web", KILL); // may be a stop if the stop signal is 9; the inspect finds no container
  feed.say("die", "web", code(137));
  feed.say("stop", "web");
  feed.say("destroy", "web");
  await feed.settle();
  assertEquals(feed.take(), ["started web", "stopped web 137", "removed web 137"]);
});

Deno.test("an oom event that did not end the process is not an OOM kill", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.answer = (id) => inspectOf(id, { status: "exited", exitCode: 0, started: 0 });
  feed.say("start", "hog");
  feed.say("oom", "hog"); // the kernel killed a child process
  feed.clock.advance(1_000);
  feed.say("die", "hog", code(0));
  await feed.settle();
  assertEquals(feed.take(), ["started hog", "died hog 0"]);
});

Deno.test("an inspect of a later run does not describe the exit", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.answer = (id) => inspectOf(id, { status: "exited", exitCode: 0, started: 900 });
  feed.say("start", "hog");
  feed.say("oom", "hog");
  feed.clock.advance(500);
  feed.say("die", "hog", code(137));
  await feed.settle();
  assertEquals(feed.take(), ["started hog", "died hog 137 SIGKILL oom"]);
});

Deno.test("a hidden exit code is taken from an inspect, and left out if the inspect fails", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("create", "spoof", { exitCode: "0" });
  feed.say("start", "spoof");
  feed.answer = (id) => inspectOf(id, { status: "exited", exitCode: 5, error: "no luck", started: 0 });
  feed.say("die", "spoof", { exitCode: "0" });
  await feed.settle();
  feed.say("start", "spoof");
  feed.answer = () => undefined;
  feed.say("die", "spoof", { exitCode: "0" });
  await feed.settle();
  assertEquals(feed.published[2], {
    type: "container.died",
    containerId: "spoof",
    containerName: "spoof",
    image: "busybox:local",
    timestamp: "2026-01-01T00:00:00.000Z",
    exitCode: 5,
    oomKilled: false,
    error: "no luck",
    runDuration: 0,
  });
  assertEquals(feed.take(), [
    "created spoof",
    "started spoof",
    "died spoof 5",
    "started spoof",
    "died spoof",
  ]);
});

Deno.test("a hold does not expire while the engine is disconnected", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  feed.say("kill", "web", TERM);
  feed.say("die", "web", code(0));
  feed.tracker.disconnected("cut");
  feed.clock.advance(60_000);
  assertEquals(feed.take(), ["started web"]);
  feed.connect([], { first: false });
  feed.say("stop", "web"); // the engine's replay
  assertEquals(feed.take(), ["stopped web 0"]);
});

Deno.test("the number of changes that wait behind an inspect is bounded", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.answer = () => new Promise(() => {});
  feed.say("start", "web");
  feed.say("oom", "web");
  feed.say("die", "web", code(137));
  for (let i = 0; i < 300; i++) feed.say("rename", "web", { name: `web${i}` });
  assertEquals(feed.take(), ["started web", "died web 137 SIGKILL oom"]);
});

Deno.test("every change of state is a lifecycle event, in the engine's order", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  for (const action of ["create", "start", "pause", "unpause", "rename"]) feed.say(action, "web");
  feed.say("kill", "web", TERM);
  feed.say("die", "web", code(0));
  for (const action of ["stop", "start", "restart", "oom"]) feed.say(action, "web");
  feed.say("destroy", "web");
  assertEquals(
    feed.lifecycle.map((event) => event.action).join(" "),
    "create start pause unpause rename kill die stop start restart oom remove",
  );
});

Deno.test("the next container of a name is published after the end of the previous one", async (t) => {
  const web = (attributes: Record<string, string> = {}) => ({ name: "web", ...attributes });
  const next = (feed: EngineFeed, id: string): void => {
    feed.say("create", id, web());
    feed.say("start", id, web());
  };
  const story = ["died web 143 SIGTERM", "removed web 143", "created web", "started web"];

  await t.step("the previous one was killed and auto-removed: its verdict is held", async () => {
    await using feed = new EngineFeed();
    feed.connect();
    feed.say("start", "old", web());
    feed.say("kill", "old", web(TERM));
    feed.say("die", "old", web(code(143)));
    feed.say("destroy", "old", web());
    next(feed, "new");
    assertEquals(feed.take(), ["started web"]);
    assertEquals(
      feed.tracker.registry.list().map(({ id }) => id),
      ["old"],
      "the list shows what has been published",
    );
    feed.say("die", "other", { name: "db", ...code(0) });
    assertEquals(feed.take(), ["died db 0"], "other containers do not wait");
    feed.clock.advance(1_000);
    assertEquals(feed.take(), story);
    feed.say("die", "new", web(code(0)));
    assertEquals(feed.take(), ["died web 0"]);
    assertEquals(feed.clock.pendingTimers, 0);
  });

  await t.step("the previous one was stopped and auto-removed: its stop comes late", async () => {
    await using feed = new EngineFeed();
    feed.connect();
    feed.say("start", "old", web());
    feed.say("kill", "old", web(TERM));
    feed.say("die", "old", web(code(0)));
    feed.say("destroy", "old", web());
    next(feed, "new");
    feed.clock.advance(19);
    feed.say("stop", "old", web());
    assertEquals(feed.take(), [
      "started web",
      "stopped web 0",
      "removed web 0",
      "created web",
      "started web",
    ]);
  });

  await t.step("the previous one was removed by force: its stop signal is inspected", async () => {
    await using feed = new EngineFeed();
    feed.connect();
    feed.say("start", "old", web());
    feed.say("kill", "old", web(KILL));
    feed.say("die", "old", web(code(137)));
    feed.say("destroy", "old", web());
    next(feed, "new");
    await feed.settle();
    const published = [
      "started web",
      "died web 137 SIGKILL",
      "removed web 137",
      "created web",
      "started web",
    ];
    assertEquals(feed.take(), published);
  });

  await t.step("three containers in a row, of which one is renamed", async () => {
    await using feed = new EngineFeed();
    feed.connect();
    for (const id of ["first", "second"]) {
      next(feed, id);
      feed.say("kill", id, web(TERM));
      feed.say("die", id, web(code(143)));
      feed.say("destroy", id, web());
    }
    feed.say("create", "third", { name: "temporary" });
    feed.say("rename", "third", web());
    feed.say("start", "third", web());
    assertEquals(feed.take(), ["created web", "started web", "created temporary"]);
    feed.clock.advance(1_000);
    assertEquals(feed.take(), story);
    feed.clock.advance(1_000);
    assertEquals(feed.take(), ["died web 143 SIGTERM", "removed web 143", "started web"]);
    assertEquals(feed.tracker.registry.list().map(({ id, name, state }) => [id, name, state]), [[
      "third",
      "web",
      "running",
    ]]);
  });
});
