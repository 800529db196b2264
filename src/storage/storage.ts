import { ContainerStore, EngineEventStore } from "./container_store.ts";
import { Database } from "./database.ts";
import { EventJournal, type JournalOptions } from "./journal/event_journal.ts";
import type { DatabaseOptions, StorageStatus } from "./open_database.ts";
import { SessionStore } from "./session_store.ts";
import { TaskOutputs } from "./task_outputs.ts";
import { TaskStore } from "./task_store.ts";

/** Everything that apex keeps on disk: one SQLite file, and a store for each kind of row in it. */
export class Storage implements Disposable {
  readonly tasks: TaskStore;
  /** The output of tasks whose containers were removed. */
  readonly outputs: TaskOutputs;
  readonly sessions: SessionStore;
  /** The containers whose changes are published, by engine. */
  readonly containers: ContainerStore;
  /** The engine events that are processed. */
  readonly engineEvents: EngineEventStore;
  readonly #options: DatabaseOptions;
  readonly #database: Database;
  #journal: EventJournal | undefined;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    const database = this.#database = new Database(options);
    this.tasks = new TaskStore(database);
    this.outputs = new TaskOutputs(database);
    this.sessions = new SessionStore(database);
    this.containers = new ContainerStore({ database, clock: options.clock });
    this.engineEvents = new EngineEventStore(database);
  }

  get status(): StorageStatus {
    return this.#database.status;
  }

  /** The size of the database, without the -wal and -shm files. */
  get bytes(): number {
    return this.#database.pages().bytes;
  }

  /** Opens the journal of events for the event log. The storage closes it. @throws {TypeError} when called twice */
  openJournal(options: JournalOptions = {}): EventJournal {
    if (this.#journal !== undefined) throw new TypeError("Cannot open the journal twice");
    return this.#journal = new EventJournal({
      ...options,
      ...this.#options,
      database: this.#database,
      exemptBytes: () => this.outputs.bytes,
    });
  }

  /** Commits the events that wait and all changed rows now. False when rows remain unwritten; the database tries again later. */
  flush(): boolean {
    return this.#database.flush();
  }

  /** Writes what has changed, and closes the file. Idempotent. */
  [Symbol.dispose](): void {
    this.#journal?.[Symbol.dispose]();
    this.#database[Symbol.dispose]();
  }
}

/**
 * Opens the database at `path`, creating it (0600) when it does not exist; `:memory:` has no file. It does not fail: a file
 * that cannot be used is moved aside, and where no file can be created the storage is in memory. `status` and the log say so.
 */
export function openStorage(options: DatabaseOptions): Storage {
  return new Storage(options);
}
