/** Recordings of real engines' streams, with what has to become of them. */
import { type EngineEvent, parseEngineEvent } from "../../../src/engine/events/event_stream.ts";
import type { InspectFacts } from "./engine_feed.ts";

const FIXTURES = new URL("../../fixtures/", import.meta.url);

/** What inspects answer, where they matter; without an entry every container is gone by then. */
export const ANSWERS: Readonly<Record<string, InspectFacts>> = {
  "docker-20.10.24/label-spoof": { status: "exited", exitCode: 5 },
  "docker-20.10.24/oom": { status: "exited", exitCode: 137, oomKilled: true },
};

/** Their names, `docker-20.10.24/oom` for example. */
export async function recordings(): Promise<string[]> {
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

export async function readRecording(recording: string): Promise<EngineEvent[]> {
  const text = await Deno.readTextFile(new URL(`engine-events/${recording}.jsonl`, FIXTURES));
  // Probes' `exec_*` are left out by the parser already.
  return text.trim().split("\n").map(parseEngineEvent).filter((event) => event !== undefined);
}

/** The lines that are published of it. */
export async function expectedOf(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`expected-events/${name}.jsonl`, FIXTURES));
}
