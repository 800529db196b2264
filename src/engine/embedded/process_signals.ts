/** Signals to more than one process. */
import { allProcesses, isOutOfDescriptors } from "./proc_files.ts";

/** Signals the process group `pid`, or as much of it as there is. */
export function signalGroup(pid: number, signal: Deno.Signal): void {
  sendIfThere(-pid, signal);
}

/**
 * Signals every process of the session that `pid` leads, or led: a shell at a terminal gives each of its jobs a group of
 * its own. The oldest first, by their ids, unless told otherwise. Only where there is a /proc, and as far as it can be
 * read: without a descriptor left none are found.
 */
export async function signalSession(
  pid: number,
  signal: Deno.Signal,
  options: { readonly youngestFirst?: boolean } = {},
): Promise<void> {
  try {
    const members = (await allProcesses()).filter(({ session }) => session === pid);
    for (const each of options.youngestFirst ? members.reverse() : members) sendIfThere(each.pid, signal);
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
