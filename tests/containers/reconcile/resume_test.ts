/** What a new life of apex makes of the engine and of what the last life left: each change is told once, by somebody. */
import { assertEquals } from "@std/assert";
import type { ContainerSummary } from "../../../src/engine/engine_types.ts";
import { engineEvent, inspectOf, summaryOf, T0_MS } from "../../support/containers/engine_feed.ts";
import { Life } from "../../support/containers/restarted_feed.ts";
import { TempDir } from "../../support/temp_dir.ts";

const at = (ms: number, action: string, attributes: Record<string, string> = {}, id = "web") =>
  engineEvent(action, id, { timeMs: T0_MS + ms, attributes });
const exited = (status: string): ContainerSummary => summaryOf("web", { state: "exited", status });

/** One life after the other on one database; the last one is left to the test. */
class Lives implements AsyncDisposable {
  readonly #dir: TempDir;

  private constructor(dir: TempDir) {
    this.#dir = dir;
  }

  static async make(): Promise<Lives> {
    return new Lives(await TempDir.make());
  }

  begin(nowMs: number, options: Partial<ConstructorParameters<typeof Life>[0]> = {}): Life {
    return new Life({ path: this.#dir.join("apex.db"), nowMs: T0_MS + nowMs, ...options });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#dir[Symbol.asyncDispose]();
  }
}

/** A first life that has seen a container start. */
async function livesWithWeb(): Promise<Lives> {
  const lives = await Lives.make();
  await using life = lives.begin(0);
  await life.say(at(100, "create"));
  await life.say(at(200, "start"));
  assertEquals(life.feed.take(), ["created web", "started web"]);
  return lives;
}

Deno.test("the first life ever is silent about what it finds", async () => {
  await using lives = await Lives.make();
  await using life = lives.begin(0, { containers: [summaryOf("web")] });
  await life.say(at(-500, "start"));
  await life.feed.reconcile([summaryOf("web")]);
  assertEquals(life.feed.take(), []);
});

Deno.test("a life that ended before it heard anything leaves its baseline: what happens then is told", async () => {
  await using lives = await Lives.make();
  {
    await using _first = lives.begin(0, { containers: [summaryOf("web")] });
  }
  await using second = lives.begin(60_000, {
    answer: (id) => inspectOf(id, { status: "exited", exitCode: 4, started: -5_000, finished: 30_000 }),
  });
  await second.feed.reconcile([exited("Exited (4) 30 seconds ago")]);
  assertEquals(second.feed.take(), ["~died web 4"]);
});

Deno.test("an engine that says everything twice is believed once", async () => {
  await using lives = await livesWithWeb();
  await using second = lives.begin(300);
  await second.replay([at(100, "create"), at(200, "start"), at(250, "die", { exitCode: "3" })]);
  await second.replay([at(100, "create"), at(200, "start"), at(250, "die", { exitCode: "3" })]);
  assertEquals(second.feed.take(), ["died web 3"]);
});

Deno.test("what the engine does not tell any more is found by comparing", async () => {
  await using lives = await livesWithWeb();
  await using second = lives.begin(60_000, {
    answer: (id) =>
      id === "web"
        ? inspectOf(id, { status: "exited", exitCode: 3, started: 200, finished: 5_000 })
        : inspectOf(id, { created: 7_000, started: 8_000 }),
  });
  assertEquals(second.feed.tracker.isCaughtUp, false);
  assertEquals(second.feed.tracker.registry.list().map(({ state }) => state), ["running"], "as it was told");
  await second.feed.reconcile([exited("Exited (3) 55 seconds ago"), summaryOf("new")]);
  assertEquals(second.feed.take(), ["~died web 3", "~created new", "~started new"]);
  assertEquals(second.feed.tracker.isCaughtUp, true);
  // What comparing found is remembered like what was heard.
  await second[Symbol.asyncDispose]();
  await using third = lives.begin(61_000, {
    answer: (id) => id === "new" ? inspectOf(id, { started: 8_000 }) : undefined,
  });
  await third.replay([at(5_001, "die", { exitCode: "3" }), at(60_950, "destroy")]);
  await third.feed.reconcile([summaryOf("new")]);
  assertEquals(third.feed.take(), ["removed web 3"]);
});

Deno.test("a container that is gone is told to be removed once, whatever its stream still says", async () => {
  await using lives = await livesWithWeb();
  {
    await using second = lives.begin(60_000);
    await second.feed.reconcile([]);
    assertEquals(second.feed.take(), ["~removed web"]);
  }
  await using third = lives.begin(60_100);
  await third.replay([at(59_000, "destroy"), at(59_001, "stop")]);
  await third.feed.reconcile([]);
  assertEquals(third.feed.take(), []);
});

Deno.test("a stop that comes after the removal, in the next life, makes no container of it", async () => {
  await using lives = await livesWithWeb();
  {
    await using second = lives.begin(300);
    await second.replay([at(400, "die", { exitCode: "0" }), at(410, "destroy")]);
    assertEquals(second.feed.take(), ["died web 0", "removed web 0"]);
  }
  await using third = lives.begin(420);
  await third.replay([at(410, "destroy"), at(415, "stop")]);
  await third.feed.reconcile([]);
  assertEquals(third.feed.take(), []);
  assertEquals(third.feed.tracker.registry.list(), []);
});

Deno.test("an exit whose verdict was held is told by the next life, with the kill that the last one saw", async () => {
  await using lives = await livesWithWeb();
  {
    await using second = lives.begin(300);
    await second.say(at(400, "kill", { signal: "15" }));
    await second.say(at(450, "die", { exitCode: "143" }));
    assertEquals(second.feed.take(), []);
  }
  {
    await using third = lives.begin(500);
    assertEquals(third.feed.take(), []);
    await third.say(at(600, "destroy"));
  }
  await using fourth = lives.begin(700);
  await fourth.say(at(710, "stop"));
  assertEquals(
    fourth.feed.take(),
    ["stopped web 143", "removed web 143"],
  );
});

Deno.test("an exit of which the stream told, but not its start, is not told again by comparing", async () => {
  await using lives = await livesWithWeb();
  {
    await using second = lives.begin(300);
    await second.say(at(400, "die", { exitCode: "1" }));
    second.feed.take();
  }
  const facts = { status: "exited", exitCode: 2, started: 30_000, finished: 31_000 };
  await using third = lives.begin(60_000, { answer: (id) => inspectOf(id, facts) });
  await third.say(at(31_001, "die", { exitCode: "2" }));
  const [died] = third.published;
  assertEquals(died !== undefined && "runDuration" in died, false, "nobody knows how long it ran");
  await third.feed.reconcile([exited("Exited (2) 29 seconds ago")]);
  assertEquals(third.feed.take(), ["died web 2"]);
});

Deno.test("another engine is no mass removal, and going back is none either", async () => {
  await using lives = await livesWithWeb();
  {
    await using other = lives.begin(1_000, {
      ...{ engineId: "engine-2", containers: [summaryOf("theirs")] },
      answer: (id) => inspectOf(id, { started: -5_000 }),
    });
    await other.feed.reconcile([summaryOf("theirs")]);
    assertEquals(other.feed.tracker.registry.list().map(({ name }) => name), ["theirs"]);
    assertEquals(other.feed.take(), []);
  }
  await using back = lives.begin(60_000, { answer: (id) => inspectOf(id, { started: 200 }) });
  await back.feed.reconcile([summaryOf("web")]);
  assertEquals(back.feed.tracker.registry.list().map(({ name }) => name), ["web"]);
  assertEquals(back.feed.take(), []);
});

Deno.test("a code of 255 that the engine gives of a time when it was down is looked up", async () => {
  await using lives = await livesWithWeb();
  const facts = { status: "exited", exitCode: 160, started: 200, finished: 5_000 };
  await using second = lives.begin(6_000, {
    answer: (id) => id === "web" ? inspectOf(id, facts) : undefined,
  });
  await second.say(at(5_900, "die", { exitCode: "255" }));
  await second.say(at(5_910, "die", { exitCode: "255" }, "gone"));
  assertEquals(second.feed.take(), ["died web 160", "died gone 255"]);
  await second.feed.reconcile([exited("Exited (160) 1 second ago")]);
  assertEquals(second.feed.take(), ["~removed gone 255"]);
});

Deno.test("a code of 255 that one life could not look up is looked up by the next one", async () => {
  await using lives = await livesWithWeb();
  {
    await using second = lives.begin(1_000, { answer: () => new Promise(() => {}) });
    await second.say(at(1_100, "die", { exitCode: "255" }));
    second.feed.tracker.disconnected("dockerd goes down");
    assertEquals(second.feed.take(), []);
  }
  const facts = { status: "exited", exitCode: 160, started: 200, finished: 1_050 };
  await using third = lives.begin(6_000, { answer: (id) => inspectOf(id, facts) });
  await third.feed.settle();
  assertEquals(third.feed.take(), ["died web 160"]);
  await third.feed.reconcile([exited("Exited (160) 5 seconds ago")]);
  assertEquals(third.feed.take(), []);
});

Deno.test("what waits behind a code that is looked up is not forgotten by the next life", async (t) => {
  const TERM = { signal: "15" };
  const stories: Record<string, { events: ReturnType<typeof at>[]; told: string[] }> = {
    "a stop": {
      events: [at(1_000, "kill", TERM), at(1_100, "die", { exitCode: "255" }), at(1_200, "stop")],
      told: ["stopped web 160"],
    },
    "another run": {
      events: [
        at(1_100, "die", { exitCode: "255" }),
        at(1_200, "start"),
        at(1_300, "die", { exitCode: "3" }),
      ],
      told: ["died web 255", "started web", "died web 3"],
    },
    "its removal": {
      events: [at(1_100, "die", { exitCode: "255" }), at(1_200, "destroy")],
      told: ["died web 255", "removed web 255"],
    },
  };
  for (const [what, { events, told }] of Object.entries(stories)) {
    await t.step(what, async () => {
      await using lives = await livesWithWeb();
      {
        await using second = lives.begin(900, { answer: () => new Promise(() => {}) });
        for (const event of events) await second.say(event);
        second.feed.tracker.disconnected("dockerd goes down");
        assertEquals(second.feed.take(), []);
      }
      const [started, exitCode] = what === "another run" ? [1_200, 3] : [200, 160];
      const facts = { status: "exited", exitCode, started, finished: started + 100 };
      await using third = lives.begin(60_000, {
        answer: (id) => what === "its removal" ? undefined : inspectOf(id, facts),
      });
      await third.replay(events);
      assertEquals(third.feed.take(), told);
    });
  }
});

Deno.test("what waits for another container's end is told by the next life", async () => {
  await using lives = await livesWithWeb();
  {
    await using second = lives.begin(900);
    await second.say(at(1_000, "kill", { signal: "15" }));
    await second.say(at(1_100, "die", { exitCode: "143" }));
    await second.say(at(1_110, "destroy"));
    await second.say(at(1_200, "create", { name: "web" }, "next"));
    await second.say(at(1_300, "start", { name: "web" }, "next"));
    assertEquals(second.feed.take(), []);
  }
  await using third = lives.begin(2_000);
  third.feed.clock.advance(2_000);
  assertEquals(third.feed.take(), ["died web 143 SIGTERM", "removed web 143", "created web", "started web"]);
  assertEquals(third.feed.tracker.registry.list().map(({ id, state }) => [id, state]), [["next", "running"]]);
});
