import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { SessionStore } from "../storage/session_store.ts";
import type { ContainerTerminals } from "./container_terminals.ts";
import type { Session } from "./session.ts";
import { labelledOnly, planAdoption, terminalsAmong } from "./session_adoption.ts";
import type { SessionBook } from "./session_book.ts";
import type { SessionContainers } from "./session_containers.ts";

export interface SessionTakeoverOptions {
  readonly containers: SessionContainers;
  readonly terminals: Pick<ContainerTerminals, "engineId">;
  readonly store: SessionStore;
  readonly book: SessionBook;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** What is left of that container is being taken care of already. */
  readonly isFinishing: (containerId: string) => boolean;
  /** The engine does not have that session's container, and will not tell of it. */
  readonly onVanished: (session: Session) => void;
  /** That container is no session, and has to go. */
  readonly onRemains: (containerId: string) => void;
}

/** Looks, whenever the engine was reached, which sessions it has: at first, those of an earlier life of the daemon. */
export class SessionTakeover {
  readonly #options: SessionTakeoverOptions;
  readonly #first = Promise.withResolvers<void>();
  #engineId: string | undefined;
  /** It has looked when all that happened in an earlier life, and after it, was told. */
  #hasSeenAll = false;

  constructor(options: SessionTakeoverOptions) {
    this.#options = options;
  }

  /** Of the engine whose sessions are known; undefined until it was reached. */
  get engineId(): string | undefined {
    return this.#engineId;
  }

  /** Resolves when the sessions of an engine are known for the first time. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  /** All that the engine has to tell is told: there may be a session that nobody knew of. Never rejects. */
  async caughtUp(): Promise<void> {
    if (!this.#hasSeenAll) await this.connected();
  }

  /** The engine's containers are known. Never rejects. */
  async connected(): Promise<void> {
    const { terminals, containers, store, logger, signal } = this.#options;
    const seesAll = containers.isCaughtUp;
    // Later on, an unknown one is not ours.
    const isLate = this.#hasSeenAll;
    this.#hasSeenAll ||= seesAll;
    try {
      const engineId = await terminals.engineId(signal);
      const rows = store.ofEngine(engineId);
      const records = containers.list().filter(({ id }) => containers.owns(id));
      const unknown = isLate ? [] : labelledOnly({ rows, records });
      this.#takeOver(engineId, await terminalsAmong(unknown, { containers, logger, signal }));
    } catch (error) {
      if (signal.aborted) return;
      logger.error(`cannot take over the sessions that the engine has: ${messageOf(error)}`);
    }
  }

  /** In one synchronous block: what it looks at does not change meanwhile. */
  #takeOver(engineId: string, withTerminal: ReadonlySet<string>): void {
    const { containers, store, book, clock, isFinishing, onVanished, onRemains } = this.#options;
    for (const session of book.list()) {
      // It is another engine: it tells nothing of what it does not have.
      if (containers.find(session.containerId) === undefined) onVanished(session);
    }
    const isHere = (id: string): boolean => book.inContainer(id) !== undefined || isFinishing(id);
    const { living, lost, remains } = planAdoption({
      rows: store.ofEngine(engineId).filter(({ containerId }) => !isHere(containerId)),
      records: containers.list().filter(({ id }) => !isHere(id)),
      engineId,
      isTerminal: (id) => withTerminal.has(id),
      nowMs: clock.now(),
    });
    // Later on, one that is starting is one of ours.
    const left = remains.filter(({ state }) => this.#engineId === undefined || state === "ended");
    this.#engineId = engineId;
    for (const row of living) book.takeOver(row).terminal.run();
    for (const row of lost) book.endUnseen(row);
    for (const { containerId } of [...lost, ...left]) onRemains(containerId);
    this.#first.resolve();
  }
}
