/**
 * `deno task bench [FILTER]` compares apex with alternatives, in one run on one machine. FILTER selects the parts whose names
 * contain it. Both sides are measured in alternation, so the ratios are more meaningful than the absolute figures.
 *
 * Each ratio is printed with its target and PASS or MISS. The exit status is 0 in either case.
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
  print(`no part has a name that contains "${filter}"; the parts are ${Object.keys(PARTS).join(", ")}`);
}

await using programs = await BenchPrograms.prepare();
print(`Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} cores`);
if (!programs.native) {
  print("No C compiler (cc) is installed: no comparison with C, and the readers run in Deno.");
}
for (const [, part] of chosen) await part(programs);
