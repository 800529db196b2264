import type { RemoveOptions } from "../containers/operations/operation_options.ts";
import { EngineError } from "../engine/http/engine_error.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { abortableWait } from "../platform/async/abortable_wait.ts";
import { JitteredBackoff } from "../platform/async/jittered_backoff.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { WorkspaceContainers } from "./workspace_containers.ts";

/** A removal that fails is tried again: an engine may be busy, or restart. */
const MAX_TRIES = 5;
const FIRST_WAIT_MS = 200;
const MAX_WAIT_MS = 5_000;

/**
 * `removed`: it is gone, whoever did it; `left`: it could not be removed; `unanswered`: nor was there an engine to say so;
 * `aborted`: we end before it was.
 */
export type RemovalResult = "removed" | "left" | "unanswered" | "aborted";

export interface RemovalOptions {
  readonly containers: Pick<WorkspaceContainers, "find" | "remove">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Removes a container and its anonymous volumes. A try that fails is logged; everybody is told of the last one alone, once
 * nobody tries again. Never throws.
 */
export async function removeWithRetries(id: string, options: RemovalOptions): Promise<RemovalResult> {
  const { clock, logger, signal } = options;
  const backoff = new JitteredBackoff({
    firstMs: FIRST_WAIT_MS,
    maxMs: MAX_WAIT_MS,
    random: Math.random,
  });
  for (let tries = 1; !signal.aborted; tries++) {
    try {
      const isTold = (error: unknown): boolean => tries === MAX_TRIES && !hasNoAnswer(error);
      await removeContainer(id, options.containers, { force: tries > 1, isTold });
      return "removed";
    } catch (error) {
      const failure = `cannot remove container ${nameOf(id, options.containers)}`;
      const why = messageOf(error);
      if (tries < MAX_TRIES) logger.warn(`${failure}, trying again: ${why}`);
      else if (hasNoAnswer(error)) {
        logger.warn(`${failure}: ${why} (tried again when the engine is back)`);
        return "unanswered";
      } else {
        logger.error(
          `${failure}, tried ${tries} times: ${why} (it is left as an orphan; try: apex workspaces clean)`,
        );
        return "left";
      }
    }
    if (!await waited(backoff.next(), { clock, signal })) break;
  }
  return "aborted";
}

/** Removes a container; one that is gone already counts as removed. Forced only where it has to be. */
export async function removeContainer(
  id: string,
  containers: Pick<WorkspaceContainers, "find" | "remove">,
  { force = false, isTold = () => true }: Pick<RemoveOptions, "force" | "isTold"> = {},
): Promise<void> {
  const state = containers.find(id)?.state;
  // What is not known to have ended may run.
  const hasEnded = state === "created" || state === "exited";
  try {
    await containers.remove(id, {
      force: force || !hasEnded,
      volumes: true,
      isTold: (error) => !isGone(error) && isTold(error),
    });
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof ApexError && error.code === "not_found";
}

/** The engine did not refuse it: it was not there, or broke off. */
function hasNoAnswer(error: unknown): boolean {
  return error instanceof EngineError && error.code === "engine" && error.status === undefined;
}

function nameOf(id: string, containers: Pick<WorkspaceContainers, "find">): string {
  return containers.find(id)?.name ?? id.slice(0, 12);
}

/** False: the wait was cut short by the end of everything, which is no failure. */
async function waited(ms: number, options: { clock: Clock; signal: AbortSignal }): Promise<boolean> {
  try {
    await abortableWait(ms, options);
    return true;
  } catch (error) {
    if (options.signal.aborted) return false;
    throw error;
  }
}
