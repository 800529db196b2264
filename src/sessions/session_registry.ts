/**
 * The sessions that exist, by name. Each change of a session updates the registry and the session's row and emits its event
 * in one synchronous block, so the three always agree.
 */
import type { AttachConnection } from "../engine/attach_connection.ts";
import type { SessionExit } from "../protocol/session_operations.ts";
import type { StoredSession } from "../storage/session_store.ts";
import type { TerminalSize } from "./screen/terminal_size.ts";
import { Session, type SessionEventName, type SessionFacts } from "./session.ts";
import type { SessionServices } from "./session_services.ts";
import { SessionTerminal, type SessionTerminalOptions } from "./session_terminal.ts";

export interface SessionRegistryOptions extends SessionServices {
  readonly scrollbackLines: number;
  /** Emits an event. Called when registry and row agree with it. */
  readonly emit: (event: SessionEventName, name: string) => void;
  /** Called when a session's time to live is over. */
  readonly onExpired: (session: Session) => void;
}

export class SessionRegistry {
  readonly #options: SessionRegistryOptions;
  readonly #sessions = new Map<string, Session>();

  constructor(options: SessionRegistryOptions) {
    this.#options = options;
  }

  get(name: string): Session | undefined {
    return this.#sessions.get(name);
  }

  /** Returns the session in that container. */
  inContainer(id: string): Session | undefined {
    return this.list().find(({ containerId }) => containerId === id);
  }

  /** Returns all sessions, in the order of their creation. */
  list(): Session[] {
    return [...this.#sessions.values()];
  }

  /**
   * Adds a session whose container was just started.
   * @param terminal its `connection` was opened before the container was started
   */
  create(facts: SessionFacts, terminal: { connection: AttachConnection; size: TerminalSize }): Session {
    const session = this.#add(facts, terminal);
    this.#options.emit("session:created", session.name);
    return session;
  }

  /** Adds a session that an earlier daemon has published. The client that was attached to it then was lost. */
  adopt({ state: _, isAttached, columns, rows, recentOutput, ...facts }: StoredSession): Session {
    const size = { columns, rows };
    const session = this.#add(facts, { size, ...(recentOutput !== undefined && { recentOutput }) });
    if (isAttached) this.#options.emit("session:detached", session.name);
    return session;
  }

  /** Removes a session that has ended. */
  end(session: Session, exit: SessionExit): void {
    this.#sessions.delete(session.name);
    session.end(exit);
    this.#options.store.save(session.toRow());
    this.#options.emit("session:removed", session.name);
  }

  /** Reports the end of a session that an earlier daemon has published, and that ended while no daemon ran. */
  endMissed(row: StoredSession): void {
    this.#options.store.save({ ...row, state: "ended", isAttached: false });
    this.#options.emit("session:removed", row.name);
  }

  #add(
    facts: SessionFacts,
    terminal: Pick<SessionTerminalOptions, "connection" | "size" | "recentOutput">,
  ): Session {
    const { clock, store, emit, onExpired } = this.#options;
    const session: Session = new Session({
      facts,
      terminal: new SessionTerminal({
        ...this.#options,
        ...terminal,
        containerId: facts.containerId,
        onKeep: () => {
          if (this.#sessions.get(session.name) === session) store.save(session.toRow());
        },
      }),
      clock,
      onExpired,
      onChange: (session, change) => {
        store.save(session.toRow());
        emit(change, session.name);
      },
    });
    this.#sessions.set(session.name, session);
    store.save(session.toRow());
    return session;
  }
}
