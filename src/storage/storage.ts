import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { ContainerStore } from "./container_store.ts";
import { Database } from "./database.ts";
import { EngineEventStore } from "./journal/engine_event_store.ts";
import { EventJournal, type JournalOptions } from "./journal/event_journal.ts";
import type { DatabaseOptions, StorageStatus } from "./open_database.ts";
import { SessionStore } from "./session_store.ts";
import { TaskOutputs } from "./task_outputs.ts";
import { TaskStore } from "./task_store.ts";

/**
 * What apex keeps on disk: one SQLite file. Rows that change in one block are written in one transaction at its end, with
 * the events of the block where there is a journal.
 */
export class Storage implements Disposable {
  /** Rows of tasks. */
  readonly tasks: TaskStore;
  /** What tasks wrote whose containers are gone. */
  readonly outputs: TaskOutputs;
  /** Rows of sessions. */
  readonly sessions: SessionStore;
  /** Rows of containers, as far as they were told of, by engine. */
  readonly containers: ContainerStore;
  /** Engine events that were dealt with. */
  readonly engineEvents: EngineEventStore;
  readonly #database: Database;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #journal: EventJournal | undefined;

  constructor(options: DatabaseOptions) {
    this.#database = new Database(options);
    this.#path = options.path;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.tasks = new TaskStore({ database: this.#database });
    this.outputs = new TaskOutputs({ database: this.#database });
    this.sessions = new SessionStore({ database: this.#database });
    this.containers = new ContainerStore({ database: this.#database, clock: options.clock });
    this.engineEvents = new EngineEventStore({ database: this.#database });
  }

  /** How the file stands now. */
  get status(): StorageStatus {
    return this.#database.status;
  }

  /** What the database takes, without what SQLite keeps beside it for a while. */
  get bytes(): number {
    return this.#database.read((connection) => {
      const pragma = (name: string): number => Number(connection.rows(`PRAGMA ${name}`)[0]?.[name] ?? 0);
      return pragma("page_count") * pragma("page_size");
    }, 0);
  }

  /** The journal of events, for the event log; to be opened once. It is closed with the storage. */
  openJournal(options: JournalOptions = {}): EventJournal {
    if (this.#journal !== undefined) throw new TypeError("Cannot open the journal twice");
    this.#journal = new EventJournal({
      ...options,
      database: this.#database,
      exemptBytes: () => this.outputs.bytes,
      path: this.#path,
      clock: this.#clock,
      logger: this.#logger,
    });
    return this.#journal;
  }

  /** Writes what has changed, now; false when it could not be written, and is tried again later. */
  flush(): boolean {
    return this.#database.flush();
  }

  /** Writes what has changed, and closes the file. May be called again. */
  [Symbol.dispose](): void {
    this.#journal?.[Symbol.dispose]();
    this.#database[Symbol.dispose]();
  }
}

/**
 * Opens the database at `path`, creating it (0600) if need be; `:memory:` keeps everything in memory. It never fails: a
 * file that cannot be used is moved aside, and where none can be made, `status` and the log say so and memory is used.
 */
export function openStorage(options: DatabaseOptions): Storage {
  return new Storage(options);
}
