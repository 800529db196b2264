/** What processes use of the machine, from Linux's /proc. Elsewhere nothing is known, and told. */
import { allProcesses, type ProcessStat, readProc } from "./proc_files.ts";

export interface ProcessUsage {
  /** Threads, which is what Linux limits as "pids". */
  readonly threads: number;
  /** Resident memory; pages that several of them share count for each. */
  readonly memoryBytes: number;
  /** In user and in system mode, with those children that have ended and were waited for. */
  readonly userNano: bigint;
  readonly systemNano: bigint;
}

/** /proc counts time in hundredths of a second, whatever the kernel's own tick. */
const NANO_PER_TICK = 10_000_000n;

/** Sums up all processes of the given sessions. */
export async function usageOf(sessions: ReadonlySet<number>): Promise<ProcessUsage> {
  const members = (await allProcesses()).filter(({ session }) => sessions.has(session));
  const sum = (ticksOf: (stat: ProcessStat) => bigint) =>
    members.reduce((total, member) => total + ticksOf(member), 0n) * NANO_PER_TICK;
  return {
    threads: members.reduce((total, { threads }) => total + threads, 0),
    memoryBytes: await residentBytes(members.map(({ pid }) => pid)),
    userNano: sum(({ utime, cutime }) => utime + cutime),
    systemNano: sum(({ stime, cstime }) => stime + cstime),
  };
}

/** Time that the machine's processors have spent altogether, idle time included, since its start. */
export async function machineNano(): Promise<bigint> {
  const [line = ""] = (await readProc(["stat"])).split("\n");
  // cpu user nice system idle iowait irq softirq steal; guest time is within user time already.
  const ticks = line.trim().split(/\s+/).slice(1, 9);
  return ticks.reduce((total, each) => total + BigInt(each), 0n) * NANO_PER_TICK;
}

/** Of all of them together; those that end meanwhile have none. */
async function residentBytes(pids: readonly number[]): Promise<number> {
  const statuses = await readProc(pids.map((pid) => `${pid}/status`));
  const sizes = [...statuses.matchAll(/^VmRSS:\s+(\d+) kB$/gm)].map(([, kilobytes]) => Number(kilobytes));
  return sizes.reduce((total, kilobytes) => total + kilobytes * 1024, 0);
}
