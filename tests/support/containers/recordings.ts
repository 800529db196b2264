/** Recordings of real engines' streams, with the events that must be published for them. */
import { type EngineEvent, parseEngineEvent } from "../../../src/engine/events/event_stream.ts";
import type { InspectFacts } from "./engine_feed.ts";

const FIXTURES = new URL("../../fixtures/", import.meta.url);

/** The answers to inspects, where they matter. Without an entry, no container exists any longer. */
export const ANSWERS: Readonly<Record<string, InspectFacts>> = {
  "docker-20.10.24/label-spoof": { status: "exited", exitCode: 5 },
  "docker-20.10.24/oom": { status: "exited", exitCode: 137, oomKilled: true },
};

/** The names of all recordings, such as `docker-20.10.24/oom`. */
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
  // The parser already drops the `exec_*` events of health checks.
  return text.trim().split("\n").map(parseEngineEvent).filter((event) => event !== undefined);
}

/** The lines that must be published. */
export async function expectedOf(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`expected-events/${name}.jsonl`, FIXTURES));
}
