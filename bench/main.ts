/**
 * `deno task bench [FILTER]`: how apex does beside the alternatives, in one run on this machine. Ratios count, not
 * figures: both sides are measured in turns. A part runs when its name contains FILTER.
 *
 * The exit status is 0 whatever the ratios; each says PASS or MISS beside its target.
 */
import { engineLatency } from "./engine_latency.ts";
import { fanOut } from "./fan_out.ts";
import { idleWake } from "./idle_wake.ts";
import { journal } from "./journal.ts";
import { memory } from "./memory.ts";
import { BenchPrograms } from "./programs.ts";
import { print } from "./report.ts";
import { sessions } from "./sessions.ts";
import { wholePath } from "./whole_path.ts";

const PARTS: Readonly<Record<string, (programs: BenchPrograms) => Promise<void>>> = {
  "fan-out": fanOut,
  "idle-wake": idleWake,
  "memory": memory,
  "engine-latency": engineLatency,
  "journal": journal,
  "sessions": sessions,
  "whole-path": wholePath,
};

const filter = Deno.args[0] ?? "";
const chosen = Object.entries(PARTS).filter(([name]) => name.includes(filter));
if (chosen.length === 0) {
  print(`no part's name contains "${filter}"; there are ${Object.keys(PARTS).join(", ")}`);
}

await using programs = await BenchPrograms.prepare();
print(`Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} cores`);
if (!programs.native) print("There is no C compiler (cc): no comparison with C, and readers in Deno.");
for (const [, part] of chosen) await part(programs);
