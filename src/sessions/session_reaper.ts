/** Ends sessions, and does what is left to do after their end. It waits for containers, and holds up nobody. */
import { awaitForeignRemoval, removeContainer } from "../containers/operations/container_removal.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { delayUnlessAborted, settlesWithin } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { SessionStore } from "../storage/session_store.ts";
import type { SessionContainers } from "./container_terminals.ts";
import type { Session } from "./session.ts";
import { notEnded } from "./session_errors.ts";

export interface SessionReaperOptions {
  readonly containers: SessionContainers;
  readonly store: SessionStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** From the first signal to SIGKILL; engines count it in whole seconds. */
  readonly killGraceMs: number;
  /** Gives up. */
  readonly signal: AbortSignal;
  /** Ends a session whose container the engine does not know, or says to have ended, without having told of it. */
  readonly onFoundEnded: (session: Session, exitCode: number | undefined) => void;
}

/** What heeds SIGHUP has this long, or half the grace where that is less, until SIGTERM follows. */
const HANGUP_MS = 1_000;
/** From a container's end, or the engine's reply to a stop, to the engine's event of it. */
const END_TOLD_WITHIN_MS = 5_000;
/** What a container said last is passed on for so long. */
const LAST_OUTPUT_WITHIN_MS = 5_000;
/** A session whose time is over, and that could not be ended. */
const EXPIRE_AGAIN_MS = 10_000;

export class SessionReaper {
  readonly #options: SessionReaperOptions;
  /** Containers. */
  readonly #finishing = new Set<string>();

  constructor(options: SessionReaperOptions) {
    this.#options = options;
  }

  /** SIGHUP, SIGTERM, then SIGKILL. Resolves when it and its container are gone. Asked again meanwhile, it is the same kill. */
  kill(session: Session, reason: "killed" | "ttl"): Promise<void> {
    session.kill ??= { reason, done: this.#kill(session) };
    return session.kill.done;
  }

  /** Kills it until it is dead: its time is over. Never rejects. */
  async expire(session: Session): Promise<void> {
    const { clock, logger, signal } = this.#options;
    while (!session.hasEnded && !signal.aborted) {
      try {
        return await this.kill(session, "ttl");
      } catch (error) {
        if (signal.aborted) return;
        logger.warn(
          `cannot end session "${session.name}", whose time is over; trying again: ${messageOf(error)}`,
        );
      }
      // Rejects when it is to end.
      await delayUnlessAborted(EXPIRE_AGAIN_MS, { clock, abort: signal });
    }
  }

  /** Whether its container runs, as the engine says now. @throws {EngineError} when it cannot be asked */
  async isAlive(session: Session): Promise<boolean> {
    return session.terminal.isOpen || (await this.#look(session)).isUp;
  }

  /** Waits for the end of a session that is being killed, or seems to have died untold. @throws {ApexError} `timeout` */
  async untilEnded(session: Session): Promise<void> {
    const { clock, killGraceMs } = this.#options;
    const graceMs = session.kill === undefined ? 0 : killGraceMs;
    const isTold = await settlesWithin(session.ended, { timeoutMs: graceMs + END_TOLD_WITHIN_MS, clock });
    if (!isTold) await this.#findEnd(session);
  }

  /** After its end: its last output, its client's last frame, its container. Never rejects. */
  async finish(session: Session): Promise<void> {
    const { containers, clock } = this.#options;
    const id = session.containerId;
    this.#finishing.add(id);
    await settlesWithin(session.terminal.ended(), { timeoutMs: LAST_OUTPUT_WITHIN_MS, clock });
    // Before the client's last frame, which says whether it was that.
    if (session.kill === undefined) {
      await awaitForeignRemoval(id, { ...this.#options, abort: this.#options.signal });
    }
    if (containers.find(id) === undefined) session.wasRemoved();
    session.release({ reason: "requested" });
    await session.terminal[Symbol.asyncDispose]();
    if (containers.find(id) === undefined) this.#options.store.remove(id);
    else await this.remove(id);
    this.#finishing.delete(id);
    session.leave();
  }

  /** What is left of that container is still being taken care of. */
  isFinishing(containerId: string): boolean {
    return this.#finishing.has(containerId);
  }

  /** Removes a container that is no session any more, and its row. Never rejects; what fails is done again some day. */
  async remove(containerId: string): Promise<void> {
    this.#finishing.add(containerId);
    const { store, signal: abort } = this.#options;
    const result = await removeContainer(containerId, { ...this.#options, abort });
    if (result === "removed") store.remove(containerId);
    this.#finishing.delete(containerId);
  }

  async #kill(session: Session): Promise<void> {
    const { containers, clock, killGraceMs, signal } = this.#options;
    session.terminal.hurry(true);
    try {
      const timeoutSeconds = Math.ceil(killGraceMs / 1_000);
      // Sends the container's stop signal, SIGHUP, and SIGKILL when the grace is over.
      const stopped = containers.stop(session.containerId, { timeoutSeconds, signal }).catch(ignoreNotFound);
      const limitMs = Math.min(HANGUP_MS, killGraceMs / 2);
      if (!await settlesWithin(stopped, { timeoutMs: limitMs, clock })) await this.#terminate(session);
      await stopped;
      if (!await settlesWithin(session.ended, { timeoutMs: END_TOLD_WITHIN_MS, clock })) {
        await this.#findEnd(session);
      }
    } catch (error) {
      session.kill = undefined;
      session.terminal.hurry(false);
      throw error;
    }
    await session.gone;
  }

  /** What ignores SIGHUP may heed SIGTERM. Never rejects: the engine's SIGKILL follows in any case. */
  async #terminate({ containerId, name }: Session): Promise<void> {
    const { containers, logger } = this.#options;
    try {
      await containers.kill(containerId, { signal: "SIGTERM", isTold: () => false });
    } catch (error) {
      logger.debug(`cannot send SIGTERM to session "${name}": ${messageOf(error)}`);
    }
  }

  /** No event told its end: what does the engine say? @throws {ApexError} `timeout` when it runs, and should not */
  async #findEnd(session: Session): Promise<void> {
    const { isUp, exitCode } = await this.#look(session);
    if (session.hasEnded) return;
    if (!isUp) return this.#options.onFoundEnded(session, exitCode);
    if (session.kill !== undefined) throw notEnded(session.name);
  }

  async #look(session: Session): Promise<{ readonly isUp: boolean; readonly exitCode?: number }> {
    try {
      const { State } = await this.#options.containers.inspect(session.containerId, this.#options.signal);
      return State.Running ? { isUp: true } : { isUp: false, exitCode: State.ExitCode };
    } catch (error) {
      if (error instanceof ApexError && error.code === "not_found") return { isUp: false };
      throw error;
    }
  }
}

/** It has gone by itself meanwhile. */
function ignoreNotFound(error: unknown): void {
  if (!(error instanceof ApexError && error.code === "not_found")) throw error;
}
