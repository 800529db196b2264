/**
 * What an engine that was killed leaves running. Each container's directory has a file with the process's id and the
 * time of its start, as long as it runs; the next engine ends what is still there. The start time tells it from
 * another process that got the same id since. Where there is no /proc (macOS) nothing is known, and nothing is ended.
 */
import { join } from "@std/path/posix";
import { signalGroup } from "./process_group.ts";

/** Name of that file within a container's directory. */
export const PROCESS_FILE = "process";

/** Writes down that `pid` runs. */
export async function rememberProcess(path: string, pid: number): Promise<void> {
  const started = await startTimeOf(pid);
  if (started !== undefined) await Deno.writeTextFile(path, `${pid} ${started}`, { mode: 0o600 });
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
 * @returns how many there were
 */
export async function endLeftovers(containersDir: string): Promise<number> {
  let count = 0;
  for (const id of await namesIn(containersDir)) {
    const remembered = await readOrUndefined(join(containersDir, id, PROCESS_FILE));
    const [pid = "", started = ""] = remembered?.split(" ") ?? [];
    if (!/^[1-9]\d*$/.test(pid) || await startTimeOf(Number(pid)) !== started) continue;
    signalGroup(Number(pid), "SIGKILL");
    count++;
  }
  await Deno.remove(containersDir, { recursive: true }).catch(ignoreNotFound);
  return count;
}

/** Field 22 of `/proc/<pid>/stat`: clock ticks from boot to the start; the name before it may contain spaces. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readOrUndefined(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
}

async function readOrUndefined(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || isNoSuchProcess(error)) return undefined;
    throw error;
  }
}

/** Reading /proc of a process that ends meanwhile gives ESRCH, which Deno has no class for. */
function isNoSuchProcess(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ESRCH";
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
