/**
 * Each recording of a real engine's stream, replayed at its own pace, gives exactly the events that are written down
 * beside it in tests/fixtures/expected-events.
 */
import { assertEquals } from "@std/assert";
import { parseEngineEvent } from "../../src/engine/event_stream.ts";
import type { EngineEvent } from "../../src/engine/engine_event.ts";
import type { ContainerInspect, EngineKind } from "../../src/engine/engine_types.ts";
import { EngineFeed, type InspectFacts, inspectOf, T0_MS } from "./engine_feed.ts";

const FIXTURES = new URL("../fixtures/", import.meta.url);

/** What inspects answer, where they matter; without an entry every container is gone by then. */
const ANSWERS: Record<string, InspectFacts> = {
  "docker-20.10.24/label-spoof": { status: "exited", exitCode: 5 },
  "docker-20.10.24/oom": { status: "exited", exitCode: 137, oomKilled: true },
};

/** The same recording with every container gone at the inspect, where that makes a difference. */
const GONE = ["docker-20.10.24/label-spoof", "docker-20.10.24/oom"];

async function readEvents(recording: string): Promise<EngineEvent[]> {
  const text = await Deno.readTextFile(new URL(`engine-events/${recording}.jsonl`, FIXTURES));
  // Probes' `exec_*` are left out by the parser already.
  return text.trim().split("\n").map(parseEngineEvent).filter((event) => event !== undefined);
}

async function replay(recording: string, facts: InspectFacts | undefined): Promise<string> {
  const kind: EngineKind = recording.startsWith("podman") ? "podman" : "docker";
  const events = await readEvents(recording);
  const firstMs = Math.floor((events[0]?.timeNano ?? 0) / 1e6);
  await using feed = new EngineFeed(kind, { startMs: firstMs });
  if (facts !== undefined) {
    const startedMs = firstMs - T0_MS;
    feed.answer = (id): ContainerInspect => inspectOf(id, { ...facts, started: startedMs });
  }
  feed.connect();
  for (const event of events) {
    feed.clock.advance(Math.max(0, Math.floor(event.timeNano / 1e6) - feed.clock.now()));
    feed.deliver(event);
    await feed.settle();
  }
  feed.clock.advance(5_000);
  assertEquals(feed.clock.pendingTimers, 0);
  assertEquals(feed.reconcileRequests, 0, "a recorded stream has no impossible transition");
  assertEquals(feed.tracker.list().filter((container) => container.state === "running"), []);
  return feed.published.map((event) => JSON.stringify(event) + "\n").join("");
}

async function expected(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`expected-events/${name}.jsonl`, FIXTURES));
}

async function recordings(): Promise<string[]> {
  const names: string[] = [];
  const root = new URL("engine-events/", FIXTURES);
  for await (const engine of Deno.readDir(root)) {
    if (!engine.isDirectory) continue;
    for await (const file of Deno.readDir(new URL(`${engine.name}/`, root))) {
      names.push(`${engine.name}/${file.name.replace(".jsonl", "")}`);
    }
  }
  return names.sort();
}

for (const recording of await recordings()) {
  Deno.test(`the recording ${recording} gives the expected events`, async () => {
    assertEquals(await replay(recording, ANSWERS[recording]), await expected(recording));
  });
}

for (const recording of GONE) {
  Deno.test(`the recording ${recording} gives the expected events when the container is gone`, async () => {
    assertEquals(await replay(recording, undefined), await expected(`${recording}.gone`));
  });
}
