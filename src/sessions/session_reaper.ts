/**
 * Ends sessions, and cleans up after them: it kills them, delivers their last output, and removes their containers and rows.
 * All of that waits for the engine, so it runs in the background of the changes that the session pool handles.
 */
import { awaitForeignRemoval, removeContainer } from "../containers/operations/container_removal.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { delayUnlessAborted } from "../platform/async/wait.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import type { Session } from "./session.ts";
import type { SessionRegistry } from "./session_registry.ts";
import type { SessionServices } from "./session_services.ts";

export interface SessionReaperOptions extends SessionServices {
  readonly registry: SessionRegistry;
  /** From SIGHUP to SIGKILL. Engines count it in whole seconds. */
  readonly killGraceMs: number;
  readonly abort: AbortSignal;
  /** Takes work that the end of the daemon must wait for. The work never rejects. */
  readonly inBackground: (work: Promise<void>) => void;
}

/** From SIGHUP to SIGTERM, or half the grace if that is shorter. */
const HANGUP_MS = 1_000;
/** From a container's end, or the engine's reply to a stop, to the engine's event. */
const EVENT_WITHIN_MS = 5_000;
/** The last output of a container is delivered for this time. */
const LAST_OUTPUT_WITHIN_MS = 5_000;
/** An expired session that could not be killed is killed again after this time. */
const EXPIRE_AGAIN_MS = 10_000;

export class SessionReaper {
  readonly #options: SessionReaperOptions;
  /** The ids of containers that are being removed. */
  readonly #finishing = new Set<string>();

  constructor(options: SessionReaperOptions) {
    this.#options = options;
  }

  /**
   * Kills a session: SIGHUP, then SIGTERM, then SIGKILL. Resolves when it has ended and its container was removed. A call
   * during a kill joins that kill.
   * @throws {ApexError} `timeout` when the session does not end; any failure of the engine
   */
  kill(session: Session, reason: "killed" | "ttl"): Promise<void> {
    session.kill ??= { reason, done: this.#kill(session) };
    return session.kill.done;
  }

  /** Kills a session whose time to live is over, and tries again until it has ended. Never rejects. */
  async expire(session: Session): Promise<void> {
    const { clock, logger, abort } = this.#options;
    while (!session.hasEnded && !abort.aborted) {
      try {
        return await this.kill(session, "ttl");
      } catch (error) {
        if (abort.aborted) return;
        logger.warn(`cannot kill the expired session "${session.name}", trying again: ${messageOf(error)}`);
      }
      await delayUnlessAborted(EXPIRE_AGAIN_MS, { clock, abort });
    }
  }

  /** Returns whether the session's container runs. Asks the engine if the stream is closed. @throws {EngineError} */
  async isAlive(session: Session): Promise<boolean> {
    return session.terminal.isOpen || (await this.#inspect(session)).isUp;
  }

  /** Waits for the end of a session that is being killed, or whose container has ended. @throws {ApexError} `timeout` */
  async untilEnded(session: Session): Promise<void> {
    const { clock, killGraceMs } = this.#options;
    const graceMs = session.kill === undefined ? 0 : killGraceMs;
    const hasEnded = await settlesWithin(session.ended, { timeoutMs: graceMs + EVENT_WITHIN_MS, clock });
    if (!hasEnded) await this.#endIfMissed(session);
  }

  /** Ends a session whose container has ended or was removed. What follows from that is done in the background. */
  end(
    session: Session,
    { isRemoved, exitCode }: { isRemoved: boolean; exitCode?: number | undefined },
  ): void {
    const reason = session.kill?.reason ?? (isRemoved ? "removed" : "exit");
    this.#options.registry.end(session, { reason, ...(exitCode !== undefined && { exitCode }) });
    this.#options.inBackground(this.#finish(session));
  }

  /** Returns whether the container is being removed, so that nothing else has to remove it. */
  isFinishing(containerId: string): boolean {
    return this.#finishing.has(containerId);
  }

  /** Removes the container of a session that has ended, and its row. Never rejects: a later adoption removes what is left. */
  async remove(containerId: string): Promise<void> {
    this.#finishing.add(containerId);
    if (await removeContainer(containerId, this.#options) === "removed") {
      this.#options.store.remove(containerId);
    }
    this.#finishing.delete(containerId);
  }

  /** Delivers the last output and the client's last frame, and removes the container. Never rejects. */
  async #finish(session: Session): Promise<void> {
    const { containers, clock } = this.#options;
    const id = session.containerId;
    this.#finishing.add(id);
    await settlesWithin(session.terminal.ended(), { timeoutMs: LAST_OUTPUT_WITHIN_MS, clock });
    // The client's last frame says whether the container was removed by another process.
    if (session.kill === undefined) await awaitForeignRemoval(id, this.#options);
    if (containers.find(id) === undefined) session.markRemoved();
    session.detach({ reason: "requested" });
    await session.terminal[Symbol.asyncDispose]();
    if (containers.find(id) === undefined) this.#options.store.remove(id);
    else await this.remove(id);
    this.#finishing.delete(id);
    session.markFinished();
  }

  async #kill(session: Session): Promise<void> {
    const { containers, clock, killGraceMs, abort } = this.#options;
    session.terminal.hurry(true);
    try {
      const timeoutSeconds = Math.ceil(killGraceMs / 1_000);
      // Sends the container's stop signal, SIGHUP, and SIGKILL when the grace is over.
      const stopped = containers.stop(session.containerId, { timeoutSeconds, abort })
        .catch(ignoreNotFound);
      const timeoutMs = Math.min(HANGUP_MS, killGraceMs / 2);
      if (!await settlesWithin(stopped, { timeoutMs, clock })) await this.#terminate(session);
      await stopped;
      if (!await settlesWithin(session.ended, { timeoutMs: EVENT_WITHIN_MS, clock })) {
        await this.#endIfMissed(session);
      }
    } catch (error) {
      session.kill = undefined;
      session.terminal.hurry(false);
      throw error;
    }
    await session.finished;
  }

  /** Sends SIGTERM to a program that ignores SIGHUP. Never rejects: the engine's SIGKILL follows in any case. */
  async #terminate({ containerId, name }: Session): Promise<void> {
    const { containers, logger } = this.#options;
    try {
      await containers.kill(containerId, { signal: "SIGTERM", isPublished: () => false });
    } catch (error) {
      logger.debug(`cannot send SIGTERM to session "${name}": ${messageOf(error)}`);
    }
  }

  /** Ends a session whose end was not reported, if its container does not run. @throws {ApexError} `timeout` if it does */
  async #endIfMissed(session: Session): Promise<void> {
    const { isUp, exitCode } = await this.#inspect(session);
    if (session.hasEnded) return;
    if (!isUp) return this.end(session, { isRemoved: true, exitCode });
    if (session.kill !== undefined) throw notEnded(session.name);
  }

  async #inspect({ containerId }: Session): Promise<{ readonly isUp: boolean; readonly exitCode?: number }> {
    try {
      const { State } = await this.#options.containers.inspect(containerId, this.#options.abort);
      return State.Running ? { isUp: true } : { isUp: false, exitCode: State.ExitCode };
    } catch (error) {
      ignoreNotFound(error);
      return { isUp: false };
    }
  }
}

/** @throws every other error */
function ignoreNotFound(error: unknown): void {
  if (!(error instanceof ApexError && error.code === "not_found")) throw error;
}

function notEnded(name: string): ApexError {
  const message = `cannot kill session "${name}": its container has not ended ` +
    `(see the engine's log; try again: apex kill ${name})`;
  return new ApexError("timeout", message);
}
