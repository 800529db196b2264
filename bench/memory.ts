/** Measures the resident memory of the event log's process, alone and with many subscribers. */
import type { BenchPrograms } from "./programs.ts";
import { print, printTable } from "./report.ts";

const SUBSCRIBERS = [0, 1_000, 10_000];
const LINES = 1;

export async function memory(programs: BenchPrograms): Promise<void> {
  print(
    `\nResident memory, MiB (a process of Deno ${Deno.version.deno} with the event log and the events server)`,
  );
  const rows: string[][] = [];
  for (const subscribers of SUBSCRIBERS) {
    await using sink = await programs.startSink("apex");
    let connectedMib = await sink.residentMib();
    const burst = { subscribers, lines: LINES, bursts: 0 };
    await programs.measure(sink, burst, async () => void (connectedMib = await sink.residentMib()));
    rows.push([
      subscribers.toLocaleString("en"),
      connectedMib.toFixed(0),
      (await sink.residentMib()).toFixed(0),
    ]);
  }
  printTable(["subscribers", "connected", "after an event"], rows);
}
