import { assert, assertEquals } from "@std/assert";
import type { EngineEvent } from "../../../src/engine/events/event_stream.ts";
import { FollowMemory } from "../../../src/engine/events/follow_memory.ts";

const S = 1e9;
const NOW = 1_800_000_000 * S;
const event = (timeNano: number): EngineEvent => ({
  type: "container",
  action: "die",
  id: "a",
  attributes: {},
  timeNano,
});

Deno.test("FollowMemory begins two seconds before the engine's time, with older events silent", () => {
  const memory = new FollowMemory();
  assert(memory.isFirst);
  assertEquals(memory.begin("E", NOW), NOW - 2 * S);
  memory.completed();
  assertEquals(memory.isFirst, false);
  assertEquals(memory.see(event(NOW - S)), "silent");
  assertEquals(memory.see(event(NOW)), "news");
  assertEquals(memory.see(event(NOW)), "repeat");
  assertEquals(memory.see(event(NOW - S)), "repeat");
});

Deno.test("FollowMemory replays from the newest event, not the last one", () => {
  const memory = new FollowMemory();
  memory.begin("E", NOW);
  memory.completed();
  memory.see(event(NOW + 5 * S));
  memory.see(event(NOW + 4 * S));
  assertEquals(memory.newestNano, NOW + 5 * S);
  assertEquals(memory.begin("E", NOW + 60 * S), NOW + 3 * S);
  assertEquals(memory.see(event(NOW + 5 * S)), "repeat");
  assertEquals(memory.see(event(NOW + 6 * S)), "news");
});

Deno.test("FollowMemory takes a new baseline for each attempt until one is completed", () => {
  const memory = new FollowMemory();
  memory.begin("E", NOW);
  assertEquals(memory.begin("E", NOW + 60 * S), NOW + 58 * S);
  assertEquals(memory.see(event(NOW + 59 * S)), "silent");
});

Deno.test("FollowMemory resumes an earlier run: its events are repeats, others since its baseline are news", () => {
  const memory = new FollowMemory((engineId) =>
    engineId === "E"
      ? { newestNano: NOW, baselineNano: NOW - S, seen: [event(NOW - 256), event(NOW)] }
      : undefined
  );
  assertEquals(memory.begin("E", NOW + 60 * S), NOW - 2 * S);
  assertEquals(memory.isFirst, false);
  assertEquals(memory.see(event(NOW - 256)), "repeat");
  assertEquals(memory.see(event(NOW)), "repeat");
  assertEquals(memory.see(event(NOW - 1.5 * S)), "silent");
  // The engine delivered it late: the earlier run ended before it arrived.
  assertEquals(memory.see(event(NOW - 0.5 * S)), "news");
  assertEquals(memory.see(event(NOW + 256)), "news");
});

Deno.test("FollowMemory recalls nothing for an engine that was never followed", () => {
  const memory = new FollowMemory((engineId) =>
    engineId === "E" ? { newestNano: NOW, baselineNano: NOW, seen: [event(NOW)] } : undefined
  );
  assertEquals(memory.begin("OTHER", NOW + 60 * S), NOW + 58 * S);
  assertEquals(memory.isFirst, true);
  assertEquals(memory.see(event(NOW)), "silent");
});

Deno.test("FollowMemory resumes an engine where it left it", () => {
  const memory = new FollowMemory((engineId) =>
    engineId === "E" ? { newestNano: NOW, baselineNano: NOW - S, seen: [event(NOW)] } : undefined
  );
  memory.begin("OTHER", NOW + 60 * S);
  memory.completed();
  assertEquals(memory.begin("E", NOW + 90 * S), NOW - 2 * S);
  assertEquals(memory.see(event(NOW)), "repeat");
});

Deno.test("FollowMemory does not replay from the future when the engine's clock was set back", () => {
  const memory = new FollowMemory();
  memory.begin("E", NOW);
  memory.completed();
  memory.see(event(NOW + 3600 * S));
  assertEquals(memory.begin("E", NOW), NOW - 2 * S);
  assertEquals(memory.see(event(NOW + S)), "news");
});

Deno.test("FollowMemory takes a new baseline for another engine", () => {
  const memory = new FollowMemory();
  memory.begin("E", NOW);
  memory.completed();
  memory.see(event(NOW + S));
  assertEquals(memory.begin("OTHER", NOW + 60 * S), NOW + 58 * S);
  assertEquals(memory.isFirst, false);
  assertEquals(memory.see(event(NOW + 59 * S)), "silent");
});
