/**
 * Each recording of a real engine's stream gives the same events when apex is restarted in the middle of it, wherever
 * that is: what was told is not told again, and what was held back is told in the next life.
 */
import { assertEquals } from "@std/assert";
import type { EngineKind } from "../../../src/engine/engine_types.ts";
import type { EngineEvent } from "../../../src/engine/events/event_stream.ts";
import { inspectOf, T0_MS } from "../../support/containers/engine_feed.ts";
import { ANSWERS, expectedOf, readRecording, recordings } from "../../support/containers/recordings.ts";
import { Life } from "../../support/containers/restarted_feed.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** More than a recording of one container has. */
const MAX_CUTS = 24;

/** Lives on one database take over from each other before the events of these positions. */
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
    await using life = new Life({
      ...{ path, kind, nowMs: from === 0 ? msOf(0) : msOf(from - 1) + 1 },
      answer: (id) => facts && inspectOf(id, { ...facts, started: startedMs }),
    });
    await life.replay(events.slice(0, from));
    for (let index = from; index < to; index++) {
      life.feed.clock.advance(Math.max(0, msOf(index) - life.feed.clock.now()));
      await life.say(events[index]!);
    }
    if (to === events.length) life.feed.clock.advance(5_000);
    lines.push(...life.published.map((event) => JSON.stringify(event)));
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
