/**
 * Each recording of a real engine's stream, replayed at its original pace, gives exactly the events in
 * tests/fixtures/expected-events.
 */
import { assertEquals } from "@std/assert";
import type { ContainerInspect, EngineKind } from "../../../src/engine/engine_types.ts";
import { EngineFeed, type InspectFacts, inspectOf, T0_MS } from "../../support/containers/engine_feed.ts";
import { ANSWERS, expectedOf, readRecording, recordings } from "../../support/containers/recordings.ts";

/** Recordings whose events differ when the container is removed before it is inspected. */
const REMOVED = ["docker-20.10.24/label-spoof", "docker-20.10.24/oom"];

async function replay(recording: string, facts: InspectFacts | undefined): Promise<string> {
  const kind: EngineKind = recording.startsWith("podman") ? "podman" : "docker";
  const events = await readRecording(recording);
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
  assertEquals(feed.tracker.registry.list().filter((container) => container.state === "running"), []);
  return feed.published.map((event) => JSON.stringify(event) + "\n").join("");
}

for (const recording of await recordings()) {
  Deno.test(`the recording ${recording} gives the expected events`, async () => {
    assertEquals(await replay(recording, ANSWERS[recording]), await expectedOf(recording));
  });
}

for (const recording of REMOVED) {
  Deno.test(`the recording ${recording} gives the expected events when the container is removed before the inspect`, async () => {
    assertEquals(await replay(recording, undefined), await expectedOf(`${recording}.removed`));
  });
}
