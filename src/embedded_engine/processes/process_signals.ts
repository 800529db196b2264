/** Signals to more than one process. */
import { allProcesses, isOutOfDescriptors, processStat } from "./proc_files.ts";

/** Signals the process group `pid`, or as much of it as there is. */
export function signalGroup(pid: number, signal: Deno.Signal): void {
  sendIfThere(-pid, signal);
}

/**
 * Does what a closed terminal does: SIGHUP to the group in its foreground, then to that of the session's leader.
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

/**
 * Signals every process of the session that `pid` leads or led. A shell at a terminal gives each of its jobs a group of
 * its own, so signalling the shell's group does not reach them. Without /proc, or without a free descriptor to read it,
 * no process is signalled.
 */
export async function signalSession(pid: number, signal: Deno.Signal): Promise<void> {
  try {
    for (const each of await allProcesses()) if (each.session === pid) sendIfThere(each.pid, signal);
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error;
  }
}

/** Signals one process that may have ended. */
export function sendIfThere(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    // Gone, which is what one wanted or too late for; or all that is left runs as another user (a set-user-id program).
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)) {
      throw error;
    }
  }
}
