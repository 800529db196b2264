import type { ContainerRecord } from "../containers/reconcile/container_record.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { abortableWait } from "../platform/async/abortable_wait.ts";
import { JitteredBackoff } from "../platform/async/jittered_backoff.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { SessionContainers } from "./container_terminals.ts";

export interface ContainerRemovalOptions {
  readonly containers: Pick<SessionContainers, "find" | "remove">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** A removal that fails is tried again: an engine may be busy, or restart. */
const MAX_TRIES = 5;
const FIRST_WAIT_MS = 200;
const MAX_WAIT_MS = 5_000;
/** What `rm --force` by somebody else leaves of a container's process, just before the container itself goes. */
const KILLED = 137;
/** So long a killed container is left alone: a removal on top of somebody else's would fail, and be told as a failure. */
const REMOVAL_FOLLOWS_KILL_MS = 500;

/**
 * Removes a session's container and its anonymous volumes. False when it is still there: that is logged, unless `signal`
 * says that it is no failure. Never rejects.
 * @param id of a container that is not to run any more
 */
export async function removeContainer(id: string, options: ContainerRemovalOptions): Promise<boolean> {
  const { containers, clock, logger, signal } = options;
  const backoff = new JitteredBackoff({ firstMs: FIRST_WAIT_MS, maxMs: MAX_WAIT_MS, random: Math.random });
  for (let tries = 1; !signal.aborted; tries++) {
    try {
      // By force only where it has to be: `container.removed` says so, and means that something was cut short.
      const force = tries > 1 || !hasEnded(containers.find(id));
      // A failure that another try may mend is nobody's business.
      const isTold = (error: unknown): boolean => tries === MAX_TRIES && !isGone(error);
      await containers.remove(id, { force, volumes: true, isTold });
      return true;
    } catch (error) {
      if (isGone(error)) return true;
      if (tries === MAX_TRIES) {
        logger.error(`cannot remove the container ${id.slice(0, 12)} of a session: ${messageOf(error)}`);
        return false;
      }
    }
    // Rejects when it is to end.
    await abortableWait(backoff.next(), { clock, signal }).catch(() => {});
  }
  return false;
}

/** Lets somebody else, who seems to be removing it by force, do so. */
export async function awaitForeignRemoval(id: string, options: ContainerRemovalOptions): Promise<void> {
  const { containers, clock, signal } = options;
  if (containers.find(id)?.exitCode !== KILLED) return;
  // Rejects when it is to end.
  await abortableWait(REMOVAL_FOLLOWS_KILL_MS, { clock, signal }).catch(() => {});
}

function isGone(error: unknown): boolean {
  return error instanceof ApexError && error.code === "not_found";
}

/** What is not known to have ended may run. */
function hasEnded(record: ContainerRecord | undefined): boolean {
  return record?.state === "created" || record?.state === "exited";
}
