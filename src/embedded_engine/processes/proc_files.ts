/**
 * The machine's processes: Linux's /proc, and signals to more than one process. A process may exit at any moment, also while
 * it is read or signalled. On a machine without /proc no process is found.
 */
import { join } from "@std/path/posix";

/** Fields of `/proc/<pid>/stat`, with their names in proc(5). */
export interface ProcessStat {
  readonly pid: number;
  /** `R`, `S`, `T` (stopped), `Z` (exited, not yet waited for), … */
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
  /** Clock ticks from boot to its start. Together with the pid it identifies a process, even after the pid is reused. */
  readonly startTime: string;
  /** Of a process in the state `Z`, its status as wait(2) returns it. */
  readonly waitStatus: number;
}

/** All processes, by their ids. */
export async function allProcesses(): Promise<ProcessStat[]> {
  const stats = parseStats(await readAllStats());
  return stats.sort((left, right) => left.pid - right.pid);
}

/** The given processes, without those that do not exist, in no order. */
export async function processStats(pids: readonly number[]): Promise<ProcessStat[]> {
  return parseStats(await readProc(pids.map((pid) => `${pid}/stat`)));
}

/** Undefined when the process does not exist. */
export async function processStat(pid: number): Promise<ProcessStat | undefined> {
  const [stat] = await processStats([pid]);
  return stat;
}

/** The joined texts of files below /proc. Files that do not exist, or whose process has exited, are left out. */
export async function readProc(paths: readonly string[]): Promise<string> {
  let texts = "";
  for (const path of paths) {
    try {
      texts += await Deno.readTextFile(join("/proc", path));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return texts;
}

/** Whether reading failed because this process, or the machine, has no descriptor left. */
export function isOutOfDescriptors(error: unknown): boolean {
  return isOsError(error, 24) || isOsError(error, 23);
}

/** Signals one process, if it exists. */
export function signalProcess(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    // It has exited; or the rest of the group runs as another user (a set-user-id program).
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)) {
      throw error;
    }
  }
}

/** Signals the remaining processes of the process group `pid`. */
export function signalGroup(pid: number, signal: Deno.Signal): void {
  signalProcess(-pid, signal);
}

/**
 * Signals every process of the session that `pid` leads or led. A shell at a terminal gives each of its jobs a group of
 * its own, so signalling the shell's group does not reach them. Without /proc, or without a free descriptor to read it,
 * no process is signalled.
 */
export async function signalSession(pid: number, signal: Deno.Signal): Promise<void> {
  try {
    for (const each of await allProcesses()) if (each.session === pid) signalProcess(each.pid, signal);
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error;
  }
}

/**
 * Does what a closed terminal does: sends SIGHUP to the group in its foreground, then to that of the session's leader.
 * @param pid the leader
 */
export async function hangUp(pid: number): Promise<void> {
  let foreground = pid;
  try {
    foreground = (await processStat(pid))?.foreground ?? pid;
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error;
  }
  if (foreground > 0 && foreground !== pid) signalGroup(foreground, "SIGHUP");
  signalGroup(pid, "SIGHUP");
}

async function readAllStats(): Promise<string> {
  const paths: string[] = [];
  try {
    for await (const { name } of Deno.readDir("/proc")) {
      if (/^\d+$/.test(name)) paths.push(`${name}/stat`);
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return await readProc(paths);
}

/** A name, in parentheses, may contain anything, but it is too short to look like the fields that follow it. */
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
      waitStatus: Number(field(52)),
    };
  });
}

/** Reading a process that exits in between fails with ESRCH. */
function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || isOsError(error, 3);
}

/** For these errors Deno has no class and, in 2.4, no `code`; only the message has Linux's number. */
function isOsError(error: unknown, number: number): boolean {
  return error instanceof Error && error.message.includes(`(os error ${number})`);
}
