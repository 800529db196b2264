/** Health reported by the engine: only changes, with details, in order with the container's other events. */
import { assertEquals } from "@std/assert";
import type { HealthMonitorEvents } from "../../../src/containers/health/container_health_monitor.ts";
import type { ContainerInspect } from "../../../src/engine/engine_types.ts";
import { EngineFeed, inspectOf, T0_MS } from "../../support/containers/engine_feed.ts";

/** An inspect of a container whose last check ended at the beginning of the test. */
function checked(status: string, last: { exitCode?: number; output?: string } = {}): ContainerInspect {
  const inspect = inspectOf("web", { started: 0 });
  const time = new Date(T0_MS).toISOString();
  const Log = [{ Start: time, End: time, ExitCode: last.exitCode ?? 0, Output: last.output ?? "" }];
  return {
    ...inspect,
    State: { ...inspect.State, Health: { Status: status, FailingStreak: last.exitCode ? 3 : 0, Log } },
  };
}

/** Collects the names of the monitor's events, each with its status. */
function listen(feed: EngineFeed): string[] {
  const seen: string[] = [];
  const names: (keyof HealthMonitorEvents)[] = [
    "monitoring:started",
    "monitoring:stopped",
    "health:check:success",
    "health:check:failed",
    "container:health",
  ];
  for (const name of names) {
    feed.health.on(name, (event) => seen.push("status" in event ? `${name} ${event.status}` : name));
  }
  return seen;
}

Deno.test("container:health is emitted for changes only, with the previous status", async () => {
  await using feed = new EngineFeed("podman");
  feed.connect();
  feed.say("start", "web");
  for (const status of ["starting", "healthy", "healthy", "unhealthy", "unhealthy", "healthy"]) {
    feed.say("health_status", "web", { health_status: status });
  }
  await feed.settle();
  assertEquals(feed.take(), [
    "started web",
    "health web ?>starting",
    "health web starting>healthy",
    "health web healthy>unhealthy",
    "health web unhealthy>healthy",
  ]);
  assertEquals(feed.inspected.length, 4, "only changes are inspected");
});

Deno.test("a restarted container begins with starting, which Docker does not report", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  feed.say("health_status: healthy", "web");
  feed.say("die", "web", { exitCode: "0" });
  feed.say("start", "web");
  await feed.settle();
  assertEquals(feed.tracker.registry.list()[0]?.health, "starting");
  feed.say("health_status: healthy", "web");
  await feed.settle();
  assertEquals(feed.take(), [
    "started web",
    "health web starting>healthy",
    "died web 0",
    "started web",
    "health web starting>healthy",
  ]);
});

Deno.test("container:health has the output of the last check, cut at 4 KiB between two characters", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  feed.answer = () => checked("unhealthy", { exitCode: 1, output: "x" + "é".repeat(4_000) });
  feed.say("health_status: unhealthy", "web");
  await feed.settle();
  assertEquals(feed.published.at(-1), {
    type: "container.health",
    containerId: "web",
    containerName: "web",
    image: "busybox:local",
    timestamp: new Date(T0_MS).toISOString(),
    status: "unhealthy",
    previousStatus: "starting",
    failingStreak: 3,
    lastCheckExitCode: 1,
    lastCheckOutput: "x" + "é".repeat(2_047),
    lastCheckTime: new Date(T0_MS).toISOString(),
  });
});

Deno.test("changes after a health change wait for its details, for at most a second", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  feed.say("start", "other");
  const details = Promise.withResolvers<ContainerInspect>();
  feed.answer = () => details.promise;
  feed.manager.on(
    "health:report",
    ({ status }) => assertEquals(feed.tracker.registry.find("web")?.health, status),
  );
  feed.say("health_status: healthy", "web");
  feed.say("die", "web", { exitCode: "3" });
  feed.say("die", "other", { exitCode: "0" });
  await feed.settle();
  assertEquals(feed.take(), ["started web", "started other", "died other 0"]);
  assertEquals(feed.tracker.registry.find("web")?.state, "running", "the registry shows what was published");
  details.resolve(checked("healthy"));
  await feed.settle();
  assertEquals(feed.take(), ["health web starting>healthy", "died web 3"]);

  feed.say("start", "web");
  feed.answer = () => new Promise(() => {});
  feed.say("health_status: unhealthy", "web");
  feed.say("destroy", "web");
  feed.clock.advance(999);
  assertEquals(feed.take(), ["started web"]);
  feed.clock.advance(1);
  const [event] = feed.published;
  assertEquals(event?.type === "container.health" && "failingStreak" in event, false);
  assertEquals(feed.take(), ["health web starting>unhealthy", "removed web"]);
});

Deno.test("details that belong to another status are left out", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  feed.answer = () => checked("unhealthy", { exitCode: 1, output: "later" });
  feed.say("health_status: healthy", "web");
  await feed.settle();
  const event = feed.published.at(-1);
  assertEquals([event?.type, event !== undefined && "lastCheckOutput" in event], ["container.health", false]);
});

Deno.test("when hundreds of events wait for the details of a health change, it is published without them", async () => {
  await using feed = new EngineFeed("podman");
  feed.connect();
  feed.say("start", "web");
  feed.answer = () => new Promise(() => {});
  feed.say("health_status", "web", { health_status: "healthy" });
  for (let i = 0; i < 300; i++) feed.say("rename", "web", { name: `web${i}` });
  assertEquals(feed.take(), ["started web", "health web starting>healthy"]);
  assertEquals(feed.tracker.registry.find("web299")?.health, "healthy");
});

Deno.test("monitoring begins with the first report of a run and ends with the run", async () => {
  await using feed = new EngineFeed("podman");
  const seen = listen(feed);
  feed.connect();
  feed.say("start", "web");
  for (const status of ["starting", "healthy", "healthy", "unhealthy"]) {
    feed.say("health_status", "web", { health_status: status });
  }
  await feed.settle();
  assertEquals(feed.health.status().map(({ containerId, source, status }) => [containerId, source, status]), [
    ["web", "healthcheck", "unhealthy"],
  ]);
  feed.say("die", "web", { exitCode: "0" });
  assertEquals(seen, [
    "monitoring:started",
    "container:health starting",
    "health:check:success healthy",
    "container:health healthy",
    "health:check:success healthy",
    "health:check:failed unhealthy",
    "container:health unhealthy",
    "monitoring:stopped",
  ]);
  assertEquals([feed.health.status(), feed.health.status("web")], [[], undefined]);
});
