/**
 * The processes that a killed engine leaves behind. While a process of a container or an exec runs, the container's
 * directory has a file with its pid and its start time, and the next engine of that directory kills it. The start time
 * distinguishes it from another process that has got the same pid since. Without /proc (macOS) no file is written, and
 * nothing is killed.
 */
import { join } from "@std/path/posix";
import { processStat, signalGroup, signalSession } from "./proc_files.ts";

/** Name of the file for the container's process; the names for its execs begin with it. */
export const PROCESS_FILE = "process";

/** Writes the file for a process that runs. */
export async function rememberProcess(path: string, pid: number): Promise<void> {
  const stat = await processStat(pid);
  if (stat !== undefined) await Deno.writeTextFile(path, `${pid} ${stat.startTime}`, { mode: 0o600 });
}

export async function forgetProcess(path: string): Promise<void> {
  // Without a file, the process exited before its start time could be read.
  await Deno.remove(path).catch(ignoreNotFound);
}

/**
 * Kills the processes that the containers under `containersDir` left, then removes that directory.
 * @returns the number of containers that had such processes
 */
export async function endLeftovers(containersDir: string): Promise<number> {
  let count = 0;
  for (const id of await namesIn(containersDir)) {
    const dir = join(containersDir, id);
    const files = (await namesIn(dir)).filter((name) => name.startsWith(PROCESS_FILE));
    const ended = await Promise.all(files.map((name) => endRemembered(join(dir, name))));
    if (ended.includes(true)) count++;
  }
  await Deno.remove(containersDir, { recursive: true }).catch(ignoreNotFound);
  return count;
}

/** Returns false when the process has exited already. */
async function endRemembered(path: string): Promise<boolean> {
  const [pid = "", started = ""] = (await Deno.readTextFile(path)).split(" ");
  if (!/^[1-9]\d*$/.test(pid) || (await processStat(Number(pid)))?.startTime !== started) return false;
  signalGroup(Number(pid), "SIGKILL");
  await signalSession(Number(pid), "SIGKILL");
  return true;
}

async function namesIn(dir: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(dir)) names.push(entry.name);
  } catch (error) {
    ignoreNotFound(error);
  }
  return names;
}

function ignoreNotFound(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
