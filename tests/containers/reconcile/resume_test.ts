/** What a run of apex publishes, given the engine's state and the checkpoints of the previous run: each change once. */
import { assertEquals } from "@std/assert";
import type { ContainerSummary } from "../../../src/engine/engine_types.ts";
import { engineEvent, inspectOf, summaryOf, T0_MS } from "../../support/containers/engine_feed.ts";
import { RestartedFeed } from "../../support/containers/restarted_feed.ts";
import { TempDir } from "../../support/temp_dir.ts";

const at = (ms: number, action: string, attributes: Record<string, string> = {}, id = "web") =>
  engineEvent(action, id, { timeMs: T0_MS + ms, attributes });
const exited = (status: string): ContainerSummary => summaryOf("web", { state: "exited", status });

/** Successive runs of apex on one database. */
class Runs implements AsyncDisposable {
  readonly #dir: TempDir;

  private constructor(dir: TempDir) {
    this.#dir = dir;
  }

  static async make(): Promise<Runs> {
    return new Runs(await TempDir.make());
  }

  begin(nowMs: number, options: Partial<ConstructorParameters<typeof RestartedFeed>[0]> = {}): RestartedFeed {
    return new RestartedFeed({ path: this.#dir.join("apex.db"), nowMs: T0_MS + nowMs, ...options });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#dir[Symbol.asyncDispose]();
  }
}

/** After a first run that has seen a container start. */
async function runsWithWeb(): Promise<Runs> {
  const runs = await Runs.make();
  await using run = runs.begin(0);
  await run.say(at(100, "create"));
  await run.say(at(200, "start"));
  assertEquals(run.feed.take(), ["created web", "started web"]);
  return runs;
}

Deno.test("the first run does not publish the containers that it finds", async () => {
  await using runs = await Runs.make();
  await using run = runs.begin(0, { containers: [summaryOf("web")] });
  await run.say(at(-500, "start"));
  await run.feed.reconcile([summaryOf("web")]);
  assertEquals(run.feed.take(), []);
});

Deno.test("a run without events leaves its baseline: later changes are published", async () => {
  await using runs = await Runs.make();
  {
    await using _first = runs.begin(0, { containers: [summaryOf("web")] });
  }
  await using second = runs.begin(60_000, {
    answer: (id) => inspectOf(id, { status: "exited", exitCode: 4, started: -5_000, finished: 30_000 }),
  });
  await second.feed.reconcile([exited("Exited (4) 30 seconds ago")]);
  assertEquals(second.feed.take(), ["~died web 4"]);
});

Deno.test("events that the engine repeats are published once", async () => {
  await using runs = await runsWithWeb();
  await using second = runs.begin(300);
  await second.replay([at(100, "create"), at(200, "start"), at(250, "die", { exitCode: "3" })]);
  await second.replay([at(100, "create"), at(200, "start"), at(250, "die", { exitCode: "3" })]);
  assertEquals(second.feed.take(), ["died web 3"]);
});

Deno.test("changes whose events the engine has forgotten are found by a comparison", async () => {
  await using runs = await runsWithWeb();
  await using second = runs.begin(60_000, {
    answer: (id) =>
      id === "web"
        ? inspectOf(id, { status: "exited", exitCode: 3, started: 200, finished: 5_000 })
        : inspectOf(id, { created: 7_000, started: 8_000 }),
  });
  assertEquals(second.feed.tracker.isCaughtUp, false);
  assertEquals(
    second.feed.tracker.registry.list().map(({ state }) => state),
    ["running"],
    "as last published",
  );
  await second.feed.reconcile([exited("Exited (3) 55 seconds ago"), summaryOf("new")]);
  assertEquals(second.feed.take(), ["~died web 3", "~created new", "~started new"]);
  assertEquals(second.feed.tracker.isCaughtUp, true);
  // Changes found by a comparison are saved like those of the stream.
  await second[Symbol.asyncDispose]();
  await using third = runs.begin(61_000, {
    answer: (id) => id === "new" ? inspectOf(id, { started: 8_000 }) : undefined,
  });
  await third.replay([at(5_001, "die", { exitCode: "3" }), at(60_950, "destroy")]);
  await third.feed.reconcile([summaryOf("new")]);
  assertEquals(third.feed.take(), ["removed web 3"]);
});

Deno.test("a vanished container is published as removed once, whatever the stream still reports", async () => {
  await using runs = await runsWithWeb();
  {
    await using second = runs.begin(60_000);
    await second.feed.reconcile([]);
    assertEquals(second.feed.take(), ["~removed web"]);
  }
  await using third = runs.begin(60_100);
  await third.replay([at(59_000, "destroy"), at(59_001, "stop")]);
  await third.feed.reconcile([]);
  assertEquals(third.feed.take(), []);
});

Deno.test("a stop after the removal, in the next run, does not bring the container back", async () => {
  await using runs = await runsWithWeb();
  {
    await using second = runs.begin(300);
    await second.replay([at(400, "die", { exitCode: "0" }), at(410, "destroy")]);
    assertEquals(second.feed.take(), ["died web 0", "removed web 0"]);
  }
  await using third = runs.begin(420);
  await third.replay([at(410, "destroy"), at(415, "stop")]);
  await third.feed.reconcile([]);
  assertEquals(third.feed.take(), []);
  assertEquals(third.feed.tracker.registry.list(), []);
});

Deno.test("an exit whose verdict was held is published by the next run, with the kill that the previous one saw", async () => {
  await using runs = await runsWithWeb();
  {
    await using second = runs.begin(300);
    await second.say(at(400, "kill", { signal: "15" }));
    await second.say(at(450, "die", { exitCode: "143" }));
    assertEquals(second.feed.take(), []);
  }
  {
    await using third = runs.begin(500);
    assertEquals(third.feed.take(), []);
    await third.say(at(600, "destroy"));
  }
  await using fourth = runs.begin(700);
  await fourth.say(at(710, "stop"));
  assertEquals(
    fourth.feed.take(),
    ["stopped web 143", "removed web 143"],
  );
});

Deno.test("an exit from the stream whose start was lost is not published again by a comparison", async () => {
  await using runs = await runsWithWeb();
  {
    await using second = runs.begin(300);
    await second.say(at(400, "die", { exitCode: "1" }));
    second.feed.take();
  }
  const facts = { status: "exited", exitCode: 2, started: 30_000, finished: 31_000 };
  await using third = runs.begin(60_000, { answer: (id) => inspectOf(id, facts) });
  await third.say(at(31_001, "die", { exitCode: "2" }));
  const [died] = third.published;
  assertEquals(died !== undefined && "runDuration" in died, false, "the start is not known");
  await third.feed.reconcile([exited("Exited (2) 29 seconds ago")]);
  assertEquals(third.feed.take(), ["died web 2"]);
});

Deno.test("nothing is published as removed when the engine changes, or changes back", async () => {
  await using runs = await runsWithWeb();
  {
    await using other = runs.begin(1_000, {
      ...{ engineId: "engine-2", containers: [summaryOf("theirs")] },
      answer: (id) => inspectOf(id, { started: -5_000 }),
    });
    await other.feed.reconcile([summaryOf("theirs")]);
    assertEquals(other.feed.tracker.registry.list().map(({ name }) => name), ["theirs"]);
    assertEquals(other.feed.take(), []);
  }
  await using back = runs.begin(60_000, { answer: (id) => inspectOf(id, { started: 200 }) });
  await back.feed.reconcile([summaryOf("web")]);
  assertEquals(back.feed.tracker.registry.list().map(({ name }) => name), ["web"]);
  assertEquals(back.feed.take(), []);
});

Deno.test("an exit code of 255 from the time when the engine was down is inspected", async () => {
  await using runs = await runsWithWeb();
  const facts = { status: "exited", exitCode: 160, started: 200, finished: 5_000 };
  await using second = runs.begin(6_000, {
    answer: (id) => id === "web" ? inspectOf(id, facts) : undefined,
  });
  await second.say(at(5_900, "die", { exitCode: "255" }));
  await second.say(at(5_910, "die", { exitCode: "255" }, "other"));
  assertEquals(second.feed.take(), ["died web 160", "died other 255"]);
  await second.feed.reconcile([exited("Exited (160) 1 second ago")]);
  assertEquals(second.feed.take(), ["~removed other 255"]);
});

Deno.test("an exit code of 255 that one run could not inspect is inspected by the next one", async () => {
  await using runs = await runsWithWeb();
  {
    await using second = runs.begin(1_000, { answer: () => new Promise(() => {}) });
    await second.say(at(1_100, "die", { exitCode: "255" }));
    second.feed.tracker.disconnected("dockerd goes down");
    assertEquals(second.feed.take(), []);
  }
  const facts = { status: "exited", exitCode: 160, started: 200, finished: 1_050 };
  await using third = runs.begin(6_000, { answer: (id) => inspectOf(id, facts) });
  await third.feed.settle();
  assertEquals(third.feed.take(), ["died web 160"]);
  await third.feed.reconcile([exited("Exited (160) 5 seconds ago")]);
  assertEquals(third.feed.take(), []);
});

Deno.test("changes that wait behind an inspect are saved for the next run", async (t) => {
  const TERM = { signal: "15" };
  const scenarios: Record<string, { events: ReturnType<typeof at>[]; published: string[] }> = {
    "a stop": {
      events: [at(1_000, "kill", TERM), at(1_100, "die", { exitCode: "255" }), at(1_200, "stop")],
      published: ["stopped web 160"],
    },
    "another run": {
      events: [
        at(1_100, "die", { exitCode: "255" }),
        at(1_200, "start"),
        at(1_300, "die", { exitCode: "3" }),
      ],
      published: ["died web 255", "started web", "died web 3"],
    },
    "its removal": {
      events: [at(1_100, "die", { exitCode: "255" }), at(1_200, "destroy")],
      published: ["died web 255", "removed web 255"],
    },
  };
  for (const [what, { events, published }] of Object.entries(scenarios)) {
    await t.step(what, async () => {
      await using runs = await runsWithWeb();
      {
        await using second = runs.begin(900, { answer: () => new Promise(() => {}) });
        for (const event of events) await second.say(event);
        second.feed.tracker.disconnected("dockerd goes down");
        assertEquals(second.feed.take(), []);
      }
      const [started, exitCode] = what === "another run" ? [1_200, 3] : [200, 160];
      const facts = { status: "exited", exitCode, started, finished: started + 100 };
      await using third = runs.begin(60_000, {
        answer: (id) => what === "its removal" ? undefined : inspectOf(id, facts),
      });
      await third.replay(events);
      assertEquals(third.feed.take(), published);
    });
  }
});

Deno.test("changes that wait for a name are published by the next run", async () => {
  await using runs = await runsWithWeb();
  {
    await using second = runs.begin(900);
    await second.say(at(1_000, "kill", { signal: "15" }));
    await second.say(at(1_100, "die", { exitCode: "143" }));
    await second.say(at(1_110, "destroy"));
    await second.say(at(1_200, "create", { name: "web" }, "next"));
    await second.say(at(1_300, "start", { name: "web" }, "next"));
    assertEquals(second.feed.take(), []);
  }
  await using third = runs.begin(2_000);
  third.feed.clock.advance(2_000);
  assertEquals(third.feed.take(), ["died web 143 SIGTERM", "removed web 143", "created web", "started web"]);
  assertEquals(third.feed.tracker.registry.list().map(({ id, state }) => [id, state]), [["next", "running"]]);
});
