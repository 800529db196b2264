/**
 * What an engine that was killed leaves running. Each container's directory has a file for its process, and one for each
 * exec's, with the process's id and the time of its start, as long as it runs; the next engine ends what is still there.
 * The start time tells it from another process that got the same id since. Where there is no /proc (macOS) nothing is
 * known, and nothing is ended.
 */
import { join } from "@std/path/posix";
import { processStat } from "./proc_files.ts";
import { signalGroup, signalSession } from "./process_signals.ts";

/** Name of that file within a container's directory; those of execs begin with it. */
export const PROCESS_FILE = "process";

/** Writes down that `pid` runs. */
export async function rememberProcess(path: string, pid: number): Promise<void> {
  const stat = await processStat(pid);
  if (stat !== undefined) await Deno.writeTextFile(path, `${pid} ${stat.startTime}`, { mode: 0o600 });
}

export async function forgetProcess(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // It ended before its start time could be read.
  }
}

/**
 * Kills the process groups that the containers under `containersDir` left, then removes that directory.
 * @returns how many containers there were
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

/** False when it is gone already. */
async function endRemembered(path: string): Promise<boolean> {
  const [pid = "", started = ""] = (await readOrUndefined(path))?.split(" ") ?? [];
  if (!/^[1-9]\d*$/.test(pid) || (await processStat(Number(pid)))?.startTime !== started) return false;
  signalGroup(Number(pid), "SIGKILL");
  await signalSession(Number(pid), "SIGKILL");
  return true;
}

async function readOrUndefined(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
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
