/** The watch on what containers without a HEALTHCHECK use. The test controls the statistics and the time. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  DEFAULT_HEALTH_WATCH,
  type HealthWatchOptions,
} from "../../../src/containers/health/health_watch_options.ts";
import { afterCheck, overLimit } from "../../../src/containers/health/stats_watch.ts";
import type { ContainerStats } from "../../../src/engine/container_stats.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { EngineFeed, inspectOf } from "../../support/containers/engine_feed.ts";

const LIMITS = { memoryShareLimit: 0.9, pidsShareLimit: 0.5 };
const CALM: ContainerStats = { memoryBytes: 10, memoryLimitBytes: 100 };
const OVER: ContainerStats = { memoryBytes: 95, memoryLimitBytes: 100 };

const SHARES: [string, ContainerStats, string | undefined][] = [
  ["nothing is known", {}, undefined],
  ["at the limit", { memoryBytes: 90, memoryLimitBytes: 100 }, undefined],
  ["no limit", { memoryBytes: 95 }, undefined],
  ["a limit of nothing", { pids: 3, pidsLimit: 0 }, undefined],
  ["too much memory", OVER, "memory: 95 of 100, more than 90% of the limit"],
  [
    "too much of both",
    { ...OVER, pids: 6, pidsLimit: 10 },
    "memory: 95 of 100, more than 90% of the limit; processes: 6 of 10, more than 50% of the limit",
  ],
];

for (const [name, stats, expected] of SHARES) {
  Deno.test(`overLimit(): ${name}`, () => assertEquals(overLimit(stats, LIMITS), expected));
}

Deno.test("afterCheck() needs enough failures in a row to be unhealthy, and one success to be healthy", () => {
  const statuses: string[] = [];
  let health: ReturnType<typeof afterCheck> = { failingStreak: 0 };
  for (const isOver of [true, false, true, true, false, true, true, true, true, false]) {
    health = afterCheck(health, isOver, 3);
    statuses.push(`${health.status ?? "?"} ${health.failingStreak}`);
  }
  assertEquals(statuses, [
    ...["? 1", "healthy 0", "healthy 1", "healthy 2", "healthy 0"],
    ...["healthy 1", "healthy 2", "unhealthy 3", "unhealthy 4", "healthy 0"],
  ]);
});

/** A feed whose containers use what `stats` says. Counts the checks. */
class Watched extends EngineFeed {
  stats: ContainerStats = CALM;
  checks = 0;
  underWay = 0;
  mostUnderWay = 0;
  /** Delays each answer until it resolves. */
  hold: Promise<unknown> | undefined;

  constructor() {
    super();
    this.manager.inspect = (id) => Promise.resolve({ ...inspectOf(id) });
    this.manager.stats = async (_id, signal) => {
      this.checks++;
      this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
      const aborted = Promise.withResolvers<never>();
      const onAbort = (): void => aborted.reject(signal?.reason);
      signal?.addEventListener("abort", onAbort);
      try {
        await Promise.race([this.hold, aborted.promise]);
        return this.stats;
      } finally {
        signal?.removeEventListener("abort", onAbort);
        this.underWay--;
      }
    };
    this.connect();
  }

  /** Runs the checks that are due, `times` in a row. */
  async check(times = 1): Promise<void> {
    for (let i = 0; i < times; i++) {
      this.clock.advance(30_000);
      await this.settle();
    }
  }

  enable(options: Partial<HealthWatchOptions> = {}): void {
    this.health.configure({ enabled: true, ...options });
  }
}

Deno.test("the watch is off by default", async () => {
  await using feed = new Watched();
  feed.say("start", "web");
  await feed.check(3);
  assertEquals([feed.checks, feed.health.status(), DEFAULT_HEALTH_WATCH.enabled], [0, [], false]);
});

Deno.test("a watched container is unhealthy after enough checks over a limit, in events and registry", async () => {
  await using feed = new Watched();
  const checks: string[] = [];
  feed.health.on("health:check:success", ({ status }) => checks.push(`ok ${status}`));
  feed.health.on(
    "health:check:failed",
    ({ status, failingStreak }) => checks.push(`${status} ${failingStreak}`),
  );
  feed.enable();
  feed.say("start", "web");
  await feed.settle();
  feed.stats = OVER;
  await feed.check(2);
  assertEquals(feed.take(), ["started web", "health web ?>healthy"]);
  await feed.check();
  assertEquals(feed.published, [{
    type: "container.health",
    containerId: "web",
    containerName: "web",
    image: "busybox:local",
    timestamp: new Date(feed.clock.now()).toISOString(),
    status: "unhealthy",
    previousStatus: "healthy",
    failingStreak: 3,
    lastCheckOutput: "memory: 95 of 100, more than 90% of the limit",
    lastCheckTime: new Date(feed.clock.now()).toISOString(),
  }]);
  assertEquals([feed.tracker.registry.find("web")?.health, feed.health.status("web")?.status], [
    "unhealthy",
    "unhealthy",
  ]);
  feed.take();
  await feed.check();
  feed.stats = CALM;
  await feed.check(2);
  assertEquals(feed.take(), ["health web unhealthy>healthy"]);
  assertEquals(checks, [
    ...["ok healthy", "healthy 1", "healthy 2", "unhealthy 3", "unhealthy 4"],
    ...["ok healthy", "ok healthy"],
  ]);
});

Deno.test("a container is watched while it runs, and starts over when it is restarted", async () => {
  await using feed = new Watched();
  const monitoring: string[] = [];
  feed.health.on("monitoring:started", ({ containerName }) => monitoring.push(`started ${containerName}`));
  feed.health.on("monitoring:stopped", ({ containerName }) => monitoring.push(`stopped ${containerName}`));
  feed.enable();
  feed.say("start", "web");
  await feed.settle();
  feed.say("die", "web", { exitCode: "0" });
  await feed.check(3);
  assertEquals([feed.checks, feed.clock.pendingTimers], [1, 0]);
  feed.say("start", "web");
  assertEquals(feed.tracker.registry.find("web")?.health, undefined);
  await feed.settle();
  feed.say("destroy", "web");
  assertEquals(feed.take(), [
    ...["started web", "health web ?>healthy", "died web 0"],
    ...["started web", "health web ?>healthy", "removed web"],
  ]);
  assertEquals(monitoring, ["started web", "stopped web", "started web", "stopped web"]);
});

Deno.test("a check that ends after its container is ignored", async () => {
  await using feed = new Watched();
  const answer = Promise.withResolvers<void>();
  feed.hold = answer.promise;
  feed.enable();
  feed.say("start", "web");
  await feed.settle();
  feed.say("die", "web", { exitCode: "0" });
  answer.resolve();
  await feed.settle();
  assertEquals(feed.take(), ["started web", "died web 0"]);
});

Deno.test("at most one check of a container runs at a time, and eight in total", async () => {
  await using feed = new Watched();
  feed.hold = new Promise(() => {});
  feed.enable({ intervalMs: 1_000 });
  for (let i = 0; i < 20; i++) feed.say("start", `c${i}`);
  await feed.settle();
  feed.clock.advance(9_000);
  await feed.settle();
  assertEquals([feed.checks, feed.mostUnderWay], [8, 8]);
  feed.clock.advance(1_000); // not yet the time limit of a check
  await feed.settle();
  feed.hold = undefined;
  await feed.settle();
  assertEquals([feed.checks, feed.mostUnderWay], [16, 8]);
  assertEquals(feed.health.status().length, 20);
});

Deno.test("a check that fails is ignored, and repeated after the interval", async () => {
  await using feed = new Watched();
  const stats = feed.manager.stats;
  feed.manager.stats = () => Promise.reject(new EngineError("engine away"));
  feed.enable({ failureThreshold: 1 });
  feed.say("start", "web");
  await feed.check(2);
  assertEquals([feed.take(), feed.health.status("web")?.status], [["started web"], undefined]);
  feed.manager.stats = stats;
  await feed.check();
  assertEquals(feed.take(), ["health web ?>healthy"]);
});

Deno.test("a container with checks of the engine is not watched, whether an inspect or a report shows them", async () => {
  await using feed = new Watched();
  feed.manager.inspect = (id) =>
    Promise.resolve({ ...inspectOf(id, id === "own" ? { health: "starting" } : {}) });
  feed.enable();
  feed.say("start", "own");
  feed.say("start", "web");
  await feed.settle();
  assertEquals([feed.checks, feed.health.status("own")], [1, undefined]);
  feed.say("health_status: unhealthy", "web");
  await feed.settle();
  await feed.check(3);
  assertEquals([feed.checks, feed.health.status("web")?.source], [1, "healthcheck"]);
  assertEquals(feed.take(), [
    "started own",
    "started web",
    "health web ?>healthy",
    "health web healthy>unhealthy",
  ]);
  assertThrows(() => feed.health.add("web"), ApexError, "the engine checks its health");
});

Deno.test("add() and remove() work with their own limits, also while the watch is off", async () => {
  await using feed = new Watched();
  feed.say("create", "idle");
  feed.say("start", "web");
  feed.say("start", "other");
  assertThrows(() => feed.health.add("missing"), ApexError, "no such container");
  assertThrows(() => feed.health.add("idle"), ApexError, "it does not run");
  assertThrows(() => feed.health.add("web", { memoryShareLimit: 1.5 }), ApexError, "memory share 1.5");
  feed.health.add("web", { memoryShareLimit: 0.05, failureThreshold: 1 });
  await feed.settle();
  assertEquals(feed.health.status().map(({ containerId, status }) => `${containerId} ${status}`), [
    "web unhealthy",
  ]);
  feed.health.configure({ enabled: true });
  await feed.settle();
  feed.health.configure({ enabled: false });
  assertEquals(
    feed.health.status().map(({ containerId }) => containerId),
    ["web"],
    "a container added by hand stays watched",
  );
  feed.take();
  assertEquals([feed.health.remove("web"), feed.health.remove("web"), feed.health.remove("idle")], [
    true,
    false,
    false,
  ]);
  assertEquals(feed.take(), ["health web unhealthy>none"]);
  assertEquals([feed.tracker.registry.find("web")?.health, feed.clock.pendingTimers], [undefined, 0]);
});

Deno.test("configure() applies to running and to watched containers", async () => {
  await using feed = new Watched();
  feed.say("start", "web");
  feed.enable();
  await feed.settle();
  assertEquals(feed.checks, 1);
  feed.health.configure({ intervalMs: 1_000, memoryShareLimit: 0.01, failureThreshold: 1 });
  feed.clock.advance(1_000);
  await feed.settle();
  assertEquals([feed.checks, feed.health.status("web")?.status], [2, "unhealthy"]);
  assertThrows(() => feed.health.configure({ intervalMs: 0 }), ApexError, "interval 0");
  assertThrows(() => feed.health.configure({ failureThreshold: 1.5 }), ApexError, "failures 1.5");
});

Deno.test("a connection to another engine ends the watch on the containers of the previous one", async () => {
  await using feed = new Watched();
  feed.enable();
  feed.say("start", "web");
  await feed.settle();
  feed.connect([], { first: false, engineId: "engine-2" });
  assertEquals([feed.health.status(), feed.clock.pendingTimers], [[], 0]);
});

Deno.test("disposal during a check leaves no timer and no listener", async () => {
  await using feed = new Watched();
  feed.hold = new Promise(() => {});
  feed.enable();
  feed.say("start", "web");
  feed.say("start", "other");
  await feed.settle();
  assertEquals(feed.underWay, 2);
  await feed.health[Symbol.asyncDispose]();
  assertEquals([feed.underWay, feed.clock.pendingTimers, feed.manager.listenerCount("health:report")], [
    0,
    0,
    0,
  ]);
});
