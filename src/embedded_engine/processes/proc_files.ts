/** Linux's /proc, where what is looked at may be gone at any moment. On a machine without one there are no processes. */
import { join } from "@std/path/posix";

/** Of `/proc/<pid>/stat` (proc(5)), by the names that it has there. */
export interface ProcessStat {
  readonly pid: number;
  /** `R`, `S`, `T` (stopped), `Z` (ended, not yet waited for), … */
  readonly state: string;
  /** Id of the process that leads its session. */
  readonly session: number;
  /** Id of the process group in the foreground of its terminal; -1 without a terminal. */
  readonly foreground: number;
  readonly utime: bigint;
  readonly stime: bigint;
  readonly cutime: bigint;
  readonly cstime: bigint;
  readonly threads: number;
  /** Clock ticks from boot to its start: with the id it names one process for ever. */
  readonly startTime: string;
}

/** All processes, by their ids. */
export async function allProcesses(): Promise<ProcessStat[]> {
  const stats = parseStats(await readAllStats());
  return stats.sort((left, right) => left.pid - right.pid);
}

/** Those of the given processes that are there, in no order. */
export async function processStats(pids: readonly number[]): Promise<ProcessStat[]> {
  return parseStats(await readProc(pids.map((pid) => `${pid}/stat`)));
}

/** Undefined when it is gone. */
export async function processStat(pid: number): Promise<ProcessStat | undefined> {
  const [stat] = await processStats([pid]);
  return stat;
}

/** The texts of files below /proc, one behind the other; of what is gone, or whose process is, there is none. */
export async function readProc(paths: readonly string[]): Promise<string> {
  let texts = "";
  for (const path of paths) {
    try {
      texts += await Deno.readTextFile(join("/proc", path));
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
  return texts;
}

/** This process, or the machine, has no descriptor left: nothing can be looked at now, and it says nothing. */
export function isOutOfDescriptors(error: unknown): boolean {
  return isOsError(error, 24) || isOsError(error, 23);
}

async function readAllStats(): Promise<string> {
  const paths: string[] = [];
  try {
    for await (const { name } of Deno.readDir("/proc")) {
      if (/^\d+$/.test(name)) paths.push(`${name}/stat`);
    }
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  return await readProc(paths);
}

/** A name, in parentheses, may have anything in it, but is too short to look like what follows it. */
const STAT = /^(\d+) \([^]{0,64}?\) ((\S)(?: -?\d+){49,})$/gm;

function parseStats(text: string): ProcessStat[] {
  return [...text.matchAll(STAT)].map(([, pid, rest = "", state = ""]) => {
    const fields = rest.split(" ");
    const field = (number: number) => fields[number - 3] ?? "0"; // The first of these is field 3.
    return {
      pid: Number(pid),
      state,
      session: Number(field(6)),
      foreground: Number(field(8)),
      utime: BigInt(field(14)),
      stime: BigInt(field(15)),
      cutime: BigInt(field(16)),
      cstime: BigInt(field(17)),
      threads: Number(field(20)),
      startTime: field(22),
    };
  });
}

/** A process that ends while it is read gives ESRCH. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || isOsError(error, 3);
}

/** For these Deno has neither a class nor, in both versions, a `code`: Linux's number is in the message alone. */
function isOsError(error: unknown, number: number): boolean {
  return error instanceof Error && error.message.includes(`(os error ${number})`);
}
