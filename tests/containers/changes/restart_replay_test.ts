/**
 * Each recording of a real engine's stream gives the same events when apex is restarted between any two of its events:
 * published events are not repeated, and held ones are published after the restart.
 */
import { assertEquals } from "@std/assert";
import type { EngineKind } from "../../../src/engine/engine_types.ts";
import type { EngineEvent } from "../../../src/engine/events/event_stream.ts";
import { inspectOf, T0_MS } from "../../support/containers/engine_feed.ts";
import { ANSWERS, expectedOf, readRecording, recordings } from "../../support/containers/recordings.ts";
import { RestartedFeed } from "../../support/containers/restarted_feed.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** More than any recording of one container has events. */
const MAX_CUTS = 24;

/** Restarts apex, on one database, before the events at the positions `cuts`. */
async function publishedOver(
  recording: string,
  { events, cuts, path }: { events: readonly EngineEvent[]; cuts: readonly number[]; path: string },
): Promise<string> {
  const kind: EngineKind = recording.startsWith("podman") ? "podman" : "docker";
  const msOf = (index: number): number => Math.floor((events[index]?.timeNano ?? 0) / 1e6);
  const startedMs = msOf(0) - T0_MS;
  const facts = ANSWERS[recording];
  const lines: string[] = [];
  let from = 0;
  for (const to of [...cuts, events.length]) {
    await using run = new RestartedFeed({
      ...{ path, kind, nowMs: from === 0 ? msOf(0) : msOf(from - 1) + 1 },
      answer: (id) => facts && inspectOf(id, { ...facts, started: startedMs }),
    });
    await run.replay(events.slice(0, from));
    for (let index = from; index < to; index++) {
      run.feed.clock.advance(Math.max(0, msOf(index) - run.feed.clock.now()));
      await run.say(events[index]!);
    }
    if (to === events.length) run.feed.clock.advance(5_000);
    lines.push(...run.published.map((event) => JSON.stringify(event)));
    from = to;
  }
  return lines.map((line) => `${line}\n`).join("");
}

for (const recording of await recordings()) {
  Deno.test(`the recording ${recording} gives the expected events over restarts between its events`, async () => {
    await using dir = await TempDir.make();
    const events = await readRecording(recording);
    const expected = await expectedOf(recording);
    const cuts = Array.from({ length: events.length }, (_, index) => index + 1)
      .filter((cut) => cut % Math.ceil(events.length / MAX_CUTS) === 0);
    for (const cut of cuts) {
      const path = dir.join(`${cut}.db`);
      assertEquals(await publishedOver(recording, { events, cuts: [cut], path }), expected, `cut at ${cut}`);
    }
    const path = dir.join("all.db");
    assertEquals(
      await publishedOver(recording, { events, cuts, path }),
      expected,
      "all cuts",
    );
  });
}
