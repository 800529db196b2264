/** A signal that apex itself sends is not part of a stop: an exit that follows it is published at once. */
import { assertEquals } from "@std/assert";
import { type Checks, runReady, shell, testOnEngines } from "../../support/containers/engine_checks.ts";
import { engineEvent, EngineFeed, T0_MS } from "../../support/containers/engine_feed.ts";
import type { OperatedManager } from "../../support/containers/operated_manager.ts";
import { RestartedFeed } from "../../support/containers/restarted_feed.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** A signal that apex is about to send, or an action that the engine reports. */
type Step =
  | { readonly own: string }
  | readonly [action: string, attributes?: Record<string, string>];

interface Scenario {
  readonly name: string;
  readonly engine?: "docker" | "podman" | "embedded";
  readonly steps: readonly Step[];
  /** Published before any deadline has passed, and after all have. */
  readonly atOnce: readonly string[];
  readonly later?: readonly string[];
}

const INT = { signal: "2" };
const TERM = { signal: "15" };
const KILL = { signal: "9" };
const code = (exitCode: number): Record<string, string> => ({ exitCode: String(exitCode) });

const SCENARIOS: readonly Scenario[] = [
  {
    name: "an exit after apex's own kill is published at once, with the signal",
    steps: [["start"], { own: "SIGTERM" }, ["kill", TERM], ["die", code(143)]],
    atOnce: ["started web", "died web 143 SIGTERM"],
  },
  {
    name: "the same on the embedded engine",
    engine: "embedded",
    steps: [["start"], { own: "int" }, ["kill", INT], ["die", code(7)]],
    atOnce: ["started web", "died web 7"],
  },
  {
    name: "podman's kill events never hold a verdict",
    engine: "podman",
    steps: [["start"], { own: "15" }, ["kill"], ["die", code(143)]],
    atOnce: ["started web", "died web 143 SIGTERM"],
  },
  {
    name: "after several of apex's own kills, too",
    steps: [["start"], { own: "INT" }, { own: "KILL" }, ["kill", INT], ["kill", KILL], ["die", code(137)]],
    atOnce: ["started web", "died web 137 SIGKILL"],
  },
  {
    name: "a client's stop after apex's own kill is a stop",
    steps: [["start"], { own: "INT" }, ["kill", INT], ["kill", TERM], ["die", code(0)], ["stop"]],
    atOnce: ["started web", "stopped web 0"],
  },
  {
    name: "a client's stop before apex's own kill is a stop",
    steps: [["start"], ["kill", TERM], { own: "KILL" }, ["kill", KILL], ["die", code(137)], ["stop"]],
    atOnce: ["started web", "stopped web 137"],
  },
  {
    name: "of two kills with the same signal, one is a client's, and may be part of a stop",
    steps: [["start"], { own: "TERM" }, ["kill", TERM], ["kill", TERM], ["die", code(0)], ["stop"]],
    atOnce: ["started web", "stopped web 0"],
  },
  {
    name: "a signal that apex did not send is a client's",
    steps: [["start"], { own: "INT" }, ["kill", TERM], ["die", code(0)]],
    atOnce: ["started web"],
    later: ["died web 0"],
  },
  {
    name: "a kill that never reached its run does not count for the next run",
    steps: [["start"], { own: "TERM" }, ["die", code(0)], ["start"], ["kill", TERM], ["die", code(0)]],
    atOnce: ["started web", "died web 0", "started web"],
    later: ["died web 0"],
  },
  {
    name: "a kill whose signal a label hides may be a client's",
    steps: [["create", TERM], ["start"], { own: "TERM" }, ["kill", TERM], ["die", code(0)]],
    atOnce: ["created web", "started web"],
    later: ["died web 0"],
  },
];

for (const { name, engine = "docker", steps, atOnce, later = [] } of SCENARIOS) {
  Deno.test(`own kills: ${name}`, async () => {
    await using feed = new EngineFeed(engine);
    feed.connect();
    for (const step of steps) {
      if ("own" in step) feed.tracker.ownActions.expectKill("web", step.own);
      else feed.say(step[0], "web", step[1]);
      await feed.settle();
    }
    assertEquals(feed.take(), atOnce);
    assertEquals([feed.clock.pendingTimers, feed.inspected], [later.length, []]);
    feed.clock.advance(10_000);
    assertEquals(feed.take(), later);
  });
}

Deno.test("own kills: a failed request withdraws one kill, and no other", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  const withdraw = feed.tracker.ownActions.expectKill("web", "TERM");
  feed.tracker.ownActions.expectKill("web", "TERM");
  withdraw();
  withdraw();
  feed.say("kill", "web", TERM);
  feed.say("die", "web", code(0));
  assertEquals(feed.take(), ["started web", "died web 0"]);
  feed.say("start", "web");
  feed.tracker.ownActions.expectKill("web", "TERM")();
  feed.say("kill", "web", TERM);
  feed.say("die", "web", code(0));
  assertEquals(feed.take(), ["started web"], "it may be a stop");
});

Deno.test("own kills: after a restart of apex", async (t) => {
  const at = (ms: number, action: string, attributes?: Record<string, string>) =>
    engineEvent(action, "web", { timeMs: T0_MS + ms, ...(attributes !== undefined && { attributes }) });
  const seen = [at(100, "start"), at(200, "kill", TERM)];
  const end = at(300, "die", code(143));
  for (const hasSeenKill of [true, false]) {
    await t.step(
      hasSeenKill
        ? "a kill reported before the restart is its own"
        : "a kill reported after the restart may be a client's",
      async () => {
        await using dir = await TempDir.make();
        const path = dir.join("apex.db");
        {
          await using run = new RestartedFeed({ path, nowMs: T0_MS });
          await run.say(seen[0]!);
          run.feed.tracker.ownActions.expectKill("web", "TERM");
          if (hasSeenKill) await run.say(seen[1]!);
          assertEquals(run.feed.take(), ["started web"]);
        }
        await using next = new RestartedFeed({ path, nowMs: T0_MS + 1_000 });
        await next.replay([...seen, end]);
        const death = ["died web 143 SIGTERM"];
        assertEquals(next.feed.take(), hasSeenKill ? death : []);
        next.feed.clock.advance(10_000);
        assertEquals(next.feed.take(), hasSeenKill ? [] : death);
      },
    );
  }
});

/** Runs until a signal ends it, with an exit code that does not show the signal. */
async function runUntilSignal(operated: OperatedManager, name: string): Promise<string> {
  const trap = "trap 'exit 7' INT TERM; trap : USR1; echo ready; while :; do sleep 0.05; done";
  const id = await runReady(operated, { ...shell(trap), name });
  await operated.until(name, "started");
  return id;
}

// The clock does not advance, so nothing that waits for a deadline is published.
const CHECKS: Checks = {
  "an exit after apex's own signal is published without a wait": async (operated) => {
    for (const signal of ["SIGINT", "15"]) {
      const id = await runUntilSignal(operated, `own-${signal}`);
      await operated.manager.kill(id, { signal });
      await operated.until(`own-${signal}`, "died 7");
    }
  },

  "a client's stop is published as a stop, even if apex has sent signals": async (operated) => {
    const id = await runUntilSignal(operated, "shared");
    await operated.manager.kill(id, { signal: "USR1" });
    const stopped = await operated.client.request("POST", `/containers/${id}/stop`, { timeoutMs: 60_000 });
    await stopped.body?.cancel();
    await operated.until("shared", "stopped 7");
  },
};

await testOnEngines("an exit after apex's own signal", {
  checks: CHECKS,
  clock: () => new FakeClock(Date.now()),
});
