/**
 * Measures how long one event takes to reach the last of many idle subscribers. Compares that with C, and with a bare loop of
 * writes in the same runtime, the best that the runtime allows.
 */
import type { BenchPrograms, SinkName } from "./programs.ts";
import { median, print, printTable, quantile, verdictOf } from "./report.ts";

const CASES = [
  { subscribers: 1_000, lines: 1, bursts: 60, pauseMs: 3, atMostOfLine: 1.2 },
  { subscribers: 10_000, lines: 1, bursts: 20, pauseMs: 40, atMostOfLine: 1.5 },
] as const;
const ROUNDS = 8;

export async function idleWake(programs: BenchPrograms): Promise<void> {
  print(
    `\nOne event to idle subscribers, ms until the last one has received it, ${ROUNDS} alternating rounds`,
  );
  const names: readonly SinkName[] = programs.native ? ["apex", "bare", "line"] : ["apex", "bare"];
  const rows: string[][] = [];
  for (const benchCase of CASES) {
    await using stack = new AsyncDisposableStack();
    const sinks = new Map<SinkName, Awaited<ReturnType<BenchPrograms["startSink"]>>>();
    for (const name of names) sinks.set(name, stack.use(await programs.startSink(name)));
    const elapsed = new Map<SinkName, number[]>(names.map((name) => [name, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, sink] of sinks) elapsed.get(name)!.push(...await programs.measure(sink, benchCase));
    }
    const apex = elapsed.get("apex")!;
    const bare = elapsed.get("bare")!;
    const line = elapsed.get("line");
    rows.push([
      benchCase.subscribers.toLocaleString("en"),
      median(apex).toFixed(2),
      quantile(apex, 0.99).toFixed(2),
      median(bare).toFixed(2),
      line === undefined ? "-" : median(line).toFixed(2),
      line === undefined ? "-" : quantile(line, 0.99).toFixed(2),
      verdictOf({
        ratio: line === undefined ? undefined : median(apex) / median(line),
        target: benchCase.atMostOfLine,
        bound: "atMost",
      }),
    ]);
  }
  printTable(["subscribers", "apex p50", "apex p99", "bare p50", "C p50", "C p99", "apex to C, p50"], rows);
}
