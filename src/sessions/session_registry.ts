import type { AttachConnection } from "../engine/attach_connection.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { SessionExit } from "../protocol/session_messages.ts";
import type { SessionStore, StoredSession } from "../storage/session_store.ts";
import type { TerminalSize } from "./screen/terminal_size.ts";
import { Session, type SessionEventName, type SessionFacts } from "./session.ts";
import { SessionTerminal, type SessionTerminalOptions, type TerminalAccess } from "./session_terminal.ts";

export interface SessionRegistryOptions {
  readonly store: SessionStore;
  readonly terminals: TerminalAccess;
  readonly scrollbackLines: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called in the synchronous block of the change, when registry and row agree with it. */
  readonly tell: (event: SessionEventName, name: string) => void;
  readonly onExpired: (session: Session) => void;
}

/** The sessions that exist. Each change of them, its row and its event are made here together, in one synchronous block. */
export class SessionRegistry {
  readonly #options: SessionRegistryOptions;
  readonly #sessions = new Map<string, Session>();

  constructor(options: SessionRegistryOptions) {
    this.#options = options;
  }

  get(name: string): Session | undefined {
    return this.#sessions.get(name);
  }

  inContainer(id: string): Session | undefined {
    return this.list().find(({ containerId }) => containerId === id);
  }

  /** In the order of their creation. */
  list(): Session[] {
    return [...this.#sessions.values()];
  }

  /** @param terminal `connection`: opened before the container was started */
  create(facts: SessionFacts, terminal: { connection: AttachConnection; size: TerminalSize }): Session {
    const session = this.#add(facts, terminal);
    this.#options.tell("session:created", session.name);
    return session;
  }

  /** One that was told of in an earlier life, and whose client is gone since. */
  takeOver({ state: _, isAttached, columns, rows, recentOutput, ...facts }: StoredSession): Session {
    const size = { columns, rows };
    const session = this.#add(facts, { size, ...(recentOutput !== undefined && { recentOutput }) });
    if (isAttached) this.#options.tell("session:detached", session.name);
    return session;
  }

  end(session: Session, exit: SessionExit): void {
    this.#sessions.delete(session.name);
    session.end(exit);
    this.#options.store.save(session.toRow());
    this.#options.tell("session:removed", session.name);
  }

  /** One that was told of in an earlier life, and ended since. */
  endUnseen(row: StoredSession): void {
    this.#options.store.save({ ...row, state: "ended", isAttached: false });
    this.#options.tell("session:removed", row.name);
  }

  #add(
    facts: SessionFacts,
    terminal: Pick<SessionTerminalOptions, "connection" | "size" | "recentOutput">,
  ): Session {
    const { clock, store, tell, onExpired } = this.#options;
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
        tell(change, session.name);
      },
    });
    this.#sessions.set(session.name, session);
    store.save(session.toRow());
    return session;
  }
}
