/** Compares how many lines per second reach all subscribers, in bursts, with the same in C. */
import type { BenchPrograms, Burst, SinkName } from "./programs.ts";
import { median, print, printTable, verdictOf } from "./report.ts";

interface Case extends Burst {
  /** The target, relative to the rate of the C sink that writes line by line. */
  readonly atLeastOfLine: number;
  /** The target, relative to the rate of the C sink that writes 64 KiB at once. */
  readonly atLeastOfChunk?: number;
}

/** Bursts fit into the log's memory. Where C can afford it, they are long enough to fill the socket buffers. */
const CASES: readonly Case[] = [
  { subscribers: 1, lines: 10_000, bursts: 12, atLeastOfLine: 1.5 },
  { subscribers: 10, lines: 10_000, bursts: 4, atLeastOfLine: 8 },
  { subscribers: 100, lines: 2_000, bursts: 4, atLeastOfLine: 8, atLeastOfChunk: 0.35 },
  { subscribers: 1_000, lines: 2_000, bursts: 1, atLeastOfLine: 12, atLeastOfChunk: 0.35 },
  { subscribers: 5_000, lines: 500, bursts: 1, atLeastOfLine: 8 },
];
const ROUNDS = 3;

export async function fanOut(programs: BenchPrograms): Promise<void> {
  print(
    `\nFan-out: bursts of 231-byte lines, million deliveries per second, median of ${ROUNDS} alternating rounds`,
  );
  await using stack = new AsyncDisposableStack();
  const sinks = new Map<SinkName, Awaited<ReturnType<BenchPrograms["startSink"]>>>();
  for (const name of programs.sinks) sinks.set(name, stack.use(await programs.startSink(name)));
  const rows: string[][] = [];
  for (const benchCase of CASES) {
    const rates = new Map<SinkName, number[]>(programs.sinks.map((name) => [name, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, sink] of sinks) {
        for (const elapsedMs of await programs.measure(sink, benchCase)) {
          rates.get(name)!.push(benchCase.subscribers * benchCase.lines / elapsedMs / 1e3);
        }
      }
    }
    const rate = (name: SinkName): number | undefined =>
      rates.has(name) ? median(rates.get(name)!) : undefined;
    rows.push(rowOf(benchCase, rate));
  }
  printTable(["subscribers", "apex", "C, line by line", "ratio", "C, 64 KiB", "of that limit"], rows);
}

function rowOf(benchCase: Case, rate: (name: SinkName) => number | undefined): string[] {
  const apex = rate("apex")!;
  const ratioTo = (name: SinkName): number | undefined =>
    rate(name) === undefined ? undefined : apex / rate(name)!;
  const ofChunk = ratioTo("chunk");
  const { atLeastOfChunk } = benchCase;
  return [
    benchCase.subscribers.toLocaleString("en"),
    apex.toFixed(2),
    rate("line")?.toFixed(2) ?? "-",
    verdictOf({ ratio: ratioTo("line"), target: benchCase.atLeastOfLine, bound: "atLeast" }),
    rate("chunk")?.toFixed(2) ?? "-",
    atLeastOfChunk === undefined
      ? ofChunk === undefined ? "-" : `${ofChunk.toFixed(2)}x`
      : verdictOf({ ratio: ofChunk, target: atLeastOfChunk, bound: "atLeast" }),
  ];
}
