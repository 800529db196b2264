/** Signals to more than one process. */
import { allProcesses, isOutOfDescriptors, processStat } from "./proc_files.ts";

/** A process that does not stop within that time waits for a disk, or the machine has other worries. */
const STOPS_WITHIN_MS = 200;
/** What is started while others are being stopped is stopped too, unless it goes on like that. */
const MAX_ROUNDS = 5;

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

/**
 * Stops every process of the session that `pid` leads, the oldest first, and each before the next one: a parent that has
 * got its signal and has not stopped yet may still see that its child has.
 */
export async function stopSession(pid: number): Promise<void> {
  try {
    for (let rounds = 0; rounds < MAX_ROUNDS; rounds++) {
      const running = (await allProcesses()).filter(({ session, state }) =>
        session === pid && !isStill(state)
      );
      if (running.length === 0) return;
      for (const each of running) {
        sendIfThere(each.pid, "SIGSTOP");
        await untilStill(each.pid);
      }
    }
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error;
  }
}

async function untilStill(pid: number): Promise<void> {
  for (const deadline = Date.now() + STOPS_WITHIN_MS; Date.now() < deadline;) {
    const stat = await processStat(pid);
    if (stat === undefined || isStill(stat.state)) return;
  }
}

function isStill(state: string): boolean {
  return state === "T" || state === "Z";
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
