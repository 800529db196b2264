/**
 * Removes the containers of ended tasks and sessions. Both are removed in the same way: an engine that is busy or
 * restarting is asked again, a container that another process removed counts as removed, and only the last failure is
 * published. The caller decides what happens to a container that stays.
 */
import { EngineError } from "../../engine/http/engine_error.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { Backoff } from "../../platform/async/backoff.ts";
import { delayUnlessAborted, settlesWithin } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { exitCodeOfSignal } from "../../platform/signals.ts";
import type { ContainerEventSource } from "../changes/container_events.ts";
import type { ContainerManager } from "../container_manager.ts";
import type { RemoveOptions } from "./container_spec.ts";

/** {@linkcode ContainerManager}, as far as a removal needs it. */
export type RemovableContainers =
  & Pick<ContainerManager, "find" | "remove">
  & ContainerEventSource<"container:removed">;

export interface ContainerRemovalOptions {
  readonly containers: RemovableContainers;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends the waits, without a failure. */
  readonly abort: AbortSignal;
  /** For the log: what becomes of a container that the engine refuses to remove. */
  readonly ifRefused?: string;
}

/**
 * `removed`: the container no longer exists, even if another client removed it; `refused`: the engine refused the last attempt;
 * `unanswered`: no engine answered it; `aborted`: the removal was aborted before it succeeded.
 */
export type RemovalResult = "removed" | "refused" | "unanswered" | "aborted";

const MAX_ATTEMPTS = 5;
const FIRST_WAIT_MS = 200;
const MAX_WAIT_MS = 5_000;

/** The exit code of a container that `rm --force` has killed, just before it removes the container. */
const KILLED = exitCodeOfSignal("SIGKILL");
/** A second removal during a foreign `rm --force` would fail, so a killed container is first left alone. */
const REMOVAL_FOLLOWS_KILL_MS = 500;

/**
 * Removes a container and its anonymous volumes, with five attempts. Each failure is logged; only a refusal of the last
 * attempt is published. Never rejects.
 */
export async function removeContainer(id: string, options: ContainerRemovalOptions): Promise<RemovalResult> {
  const { containers, clock, logger, abort, ifRefused = "apex tries again when it next connects" } = options;
  const backoff = new Backoff({ firstMs: FIRST_WAIT_MS, maxMs: MAX_WAIT_MS });
  for (let attempt = 1; !abort.aborted; attempt++) {
    const isLast = attempt === MAX_ATTEMPTS;
    try {
      const isPublished = (error: unknown): boolean => isLast && !isUnanswered(error);
      await attemptRemoval(id, containers, { force: attempt > 1, isPublished });
      return "removed";
    } catch (error) {
      const failure = `cannot remove container ${containers.find(id)?.name ?? id.slice(0, 12)}`;
      const reason = messageOf(error);
      if (!isLast) logger.warn(`${failure}, trying again: ${reason}`);
      else if (isUnanswered(error)) {
        logger.warn(`${failure}: ${reason} (apex tries again when the engine is back)`);
        return "unanswered";
      } else {
        logger.error(`${failure} after ${attempt} attempts: ${reason} (${ifRefused})`);
        return "refused";
      }
    }
    await delayUnlessAborted(backoff.next(), { clock, abort });
  }
  return "aborted";
}

/**
 * Removes a container and its anonymous volumes, with one attempt. A container that does not exist counts as removed.
 * @throws what the engine says
 */
export async function attemptRemoval(
  id: string,
  containers: Pick<RemovableContainers, "find" | "remove">,
  { force = false, isPublished = () => true }: Pick<RemoveOptions, "force" | "isPublished"> = {},
): Promise<void> {
  const state = containers.find(id)?.state;
  // The event `container:removed` says whether force was used, so it is used only where the container may run.
  const hasEnded = state === "created" || state === "exited";
  try {
    await containers.remove(id, {
      force: force || !hasEnded,
      volumes: true,
      isPublished: (error) => !isNotFound(error) && isPublished(error),
    });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** Waits a moment for the removal of a container that another process seems to be removing by force. Never rejects. */
export async function awaitForeignRemoval(
  id: string,
  { containers, clock, abort }: Pick<ContainerRemovalOptions, "containers" | "clock" | "abort">,
): Promise<void> {
  if (containers.find(id)?.exitCode !== KILLED) return;
  const removed = Promise.withResolvers<void>();
  using listeners = new DisposableStack();
  listeners.defer(containers.on("container:removed", (event) => {
    if (event.success && event.containerId === id) removed.resolve();
  }));
  await settlesWithin(removed.promise, { timeoutMs: REMOVAL_FOLLOWS_KILL_MS, clock, abort });
}

function isNotFound(error: unknown): boolean {
  return error instanceof ApexError && error.code === "not_found";
}

/** The engine did not refuse: it could not be reached, or the connection broke. */
function isUnanswered(error: unknown): boolean {
  return error instanceof EngineError && error.code === "engine" && error.status === undefined;
}

/** An engine that did not reply in time may still create or remove the container. */
const EXPECTED_FOR_MS = 60_000;

/** Containers whose creation was given up, or whose events are overdue, and that are expected for one more minute. */
export class AbandonedContainers<Key> implements Disposable {
  readonly #clock: Clock;
  readonly #timers = new Map<Key, () => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param onExpired called when the minute is over */
  add(key: Key, onExpired?: () => void): void {
    this.take(key);
    const expire = (): void => {
      this.#timers.delete(key);
      onExpired?.();
    };
    this.#timers.set(key, this.#clock.after(EXPECTED_FOR_MS, expire));
  }

  /** Takes out that container; false if it was not expected. */
  take(key: Key): boolean {
    this.#timers.get(key)?.();
    return this.#timers.delete(key);
  }

  [Symbol.dispose](): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }
}

/** Whether a container may appear although its creation failed: the engine did not reply, so it may still create it. */
export function mayStillAppear(error: unknown): boolean {
  if (error instanceof EngineError) return error.status === undefined;
  return !(error instanceof ApexError) || error.code === "interrupted" || error.code === "timeout";
}
