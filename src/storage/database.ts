/**
 * Owns the connection to the SQLite file, and decides when changed rows are written and what a failure means.
 *
 * Storage opens the database and closes it; closing tries once more to write what is unwritten. Each {@linkcode RowWriter}
 * keeps its changed rows in memory until they are committed. One transaction writes the changed rows of every writer,
 * together with the events that the event log holds: a killed daemon loses both or neither. {@linkcode CommitPoint} says when.
 *
 * - A write is refused (full disk, no permission, file locked): the rows stay with their writers, and the database tries again
 *   every {@linkcode RETRY_MS}. When no writer has rows, it writes a row of its own to find out.
 * - The file is damaged: it is moved aside, a new one is created (`open_database.ts`), and every writer writes to it the rows
 *   that must not be lost.
 * - Another program deleted or replaced the file: {@linkcode Database.checkFile} notices that.
 *
 * Each of these is logged once, not once for each write, and is part of `status`.
 */
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { CommitPoint } from "./commit_point.ts";
import {
  type DatabaseOptions,
  type FileChange,
  openDatabase,
  type OpenedDatabase,
  replaceDatabase,
  type StorageStatus,
} from "./open_database.ts";
import { IN_MEMORY, type SqliteConnection, sqliteFailureOf } from "./sqlite_connection.ts";

/** Time between two attempts to write after a write was refused. */
export const RETRY_MS = 5_000;

/** Written to find out whether the database accepts writes again. */
const PROBE = "INSERT OR REPLACE INTO meta (key, value) VALUES ('probed_ms', :now)";

/** Owns rows of the database, and holds those that are not written yet. */
export interface RowWriter {
  /** Writes all unwritten rows, inside a transaction. Called again when the transaction failed. */
  writeRows(connection: SqliteConnection): void;
  /** The transaction of the last {@linkcode RowWriter.writeRows} was committed. */
  rowsWritten(): void;
  /** A new, empty database replaced the old one: the rows that it must contain are unwritten again. */
  databaseReplaced?(): void;
}

export class Database implements Disposable {
  readonly #options: DatabaseOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #opened: OpenedDatabase;
  readonly #writers = new Set<RowWriter>();
  readonly #changedWriters = new Set<RowWriter>();
  readonly #commits = new CommitPoint(() => {
    this.#commitEvents();
    if (this.#cancelRetry === undefined) this.writeChanges();
  });
  #commitEvents = (): void => {};
  #cancelRetry: (() => void) | undefined;
  #isClosed = false;
  /** SQLite's error when it refused the last write. */
  #refusal: string | undefined;
  #fileChange: FileChange | undefined;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#opened = openDatabase(options);
  }

  get status(): StorageStatus {
    const error = this.#refusal ?? (this.#fileChange && changeText(this.#fileChange));
    return error === undefined ? this.#opened.initialStatus : { state: "degraded", error };
  }

  /** A file existed that could not be used: a new file, or memory, has replaced it. */
  get hasLostPast(): boolean {
    return this.#opened.hasLostPast;
  }

  /** The database has no file. */
  get isInMemory(): boolean {
    return this.#connection.path === IN_MEMORY;
  }

  /** The last write was refused; the database itself tries the next one. */
  get isRefused(): boolean {
    return this.#refusal !== undefined;
  }

  /** Checks whether the file is still the one that was opened. A change is logged once, and reported in the status. */
  checkFile(): FileChange | undefined {
    const change = this.#isClosed ? this.#fileChange : this.#opened.fileChange();
    if (change === this.#fileChange) return change;
    this.#fileChange = change;
    const { path } = this.#options;
    if (change === undefined) this.#logger.info(`the database file ${path} is back at its path`);
    else {
      this.#logger.error(
        `the database ${path}: ${changeText(change)}; apex continues to write to the file that it opened, ` +
          "and those changes are lost when it ends (restart apex to use the file at that path)",
      );
    }
    return change;
  }

  /** Registers a writer. */
  join(writer: RowWriter): void {
    this.#writers.add(writer);
  }

  /**
   * Registers the event log, and returns the commit point that it shares with the rows.
   * @param commitEvents writes the events that the log holds with {@linkcode Database.writeChanges}, then publishes them.
   * Called first at each commit, so that rows are never committed before the events of their block.
   */
  joinLog(commitEvents: () => void): CommitPoint {
    this.#commitEvents = commitEvents;
    return this.#commits;
  }

  /**
   * `writer` has unwritten rows. They are committed at the end of the current block, because a client may be promised what
   * they say; or, when the engine repeats it after a crash, at the end of the turn.
   */
  changed(writer: RowWriter, { isRepeatable = false } = {}): void {
    if (this.#isClosed) return;
    this.#changedWriters.add(writer);
    if (this.#cancelRetry !== undefined) return;
    if (isRepeatable) this.#commits.atTurnEnd();
    else this.#commits.atBlockEnd();
  }

  /** Commits the held events and all changed rows now. False when rows remain unwritten. */
  flush(): boolean {
    this.#commitEvents();
    return this.writeChanges();
  }

  /**
   * Writes all changed rows now, in one transaction. False when they remain unwritten: the database tries again later.
   * @param options.including a writer that has rows and has not called {@linkcode Database.changed}
   * @param options.isDurable as for {@linkcode Database.write}
   */
  writeChanges({ including, ...options }: { including?: RowWriter; isDurable?: boolean } = {}): boolean {
    if (including !== undefined && !this.#isClosed) this.#changedWriters.add(including);
    if (this.#changedWriters.size === 0) return true;
    // The second attempt is for a new database that replaced the old one.
    for (let attempt = 0; attempt < 2; attempt++) {
      const before = this.#connection;
      const isWritten = this.write((connection) => {
        for (const writer of this.#changedWriters) writer.writeRows(connection);
      }, options);
      if (isWritten) {
        this.#allWritten();
        return true;
      }
      if (before === this.#connection) break;
    }
    this.#retryLater();
    return false;
  }

  /**
   * Does `work` in one transaction, now. False when nothing of it was written.
   * @param options.isDurable a power failure afterwards does not undo it: costs an fsync
   * @throws what `work` throws, unless it is a failure of the database
   */
  write(work: (connection: SqliteConnection) => void, { isDurable = false } = {}): boolean {
    const connection = this.#connection;
    if (this.#isClosed) return false;
    try {
      connection.transaction(() => work(connection), { isDurable });
    } catch (error) {
      this.#fail(error);
      return false;
    }
    if (this.#refusal !== undefined) this.#recovered();
    return true;
  }

  /** Returns what `work` reads, or `fallback` when the database is closed or cannot be read. */
  read<T>(work: (connection: SqliteConnection) => T, fallback: T): T {
    if (this.#isClosed) return fallback;
    try {
      return work(this.#connection);
    } catch (error) {
      this.#fail(error);
      return fallback;
    }
  }

  /** The size of the database, and what of it is free. */
  pages(): { readonly bytes: number; readonly freeBytes: number; readonly freePages: number } {
    return this.read((connection) => {
      const pragma = (name: string): number => Number(connection.rows(`PRAGMA ${name}`)[0]?.[name] ?? 0);
      const pageBytes = pragma("page_size");
      const freePages = pragma("freelist_count");
      return { bytes: pragma("page_count") * pageBytes, freeBytes: freePages * pageBytes, freePages };
    }, { bytes: 0, freeBytes: 0, freePages: 0 });
  }

  /** Tries once more to write what is unwritten, and closes the file. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.flush();
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#isClosed = true;
    this.#commits[Symbol.dispose]();
    this.#changedWriters.clear();
    this.#connection[Symbol.dispose]();
  }

  get #connection(): SqliteConnection {
    return this.#opened.connection;
  }

  #retryLater(): void {
    this.#cancelRetry ??= this.#clock.after(RETRY_MS, () => {
      this.#cancelRetry = undefined;
      if (this.#changedWriters.size > 0) this.flush();
      else if (this.isRefused) {
        this.write((connection) => void connection.run(PROBE, { now: String(this.#clock.now()) }));
      }
    });
  }

  #allWritten(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    const written = [...this.#changedWriters];
    this.#changedWriters.clear();
    for (const writer of written) writer.rowsWritten();
  }

  #fail(error: unknown): void {
    const failure = sqliteFailureOf(error);
    if (failure === "refused") return this.#refused(error);
    this.#connection[Symbol.dispose]();
    this.#refusal = this.#fileChange = undefined;
    this.#opened = replaceDatabase(this.#options, { error, failure });
    for (const writer of this.#writers) {
      writer.databaseReplaced?.();
      this.#changedWriters.add(writer);
    }
    this.#commits.atBlockEnd();
  }

  #refused(error: unknown): void {
    if (this.#refusal === undefined) {
      this.#logger.error(
        `cannot write to the database ${this.#options.path}: ${messageOf(error)}; ` +
          `apex keeps changes in memory (events only for a short time), and tries again every ${
            RETRY_MS / 1_000
          } s`,
      );
    }
    this.#refusal = messageOf(error);
    this.#retryLater();
  }

  #recovered(): void {
    this.#refusal = undefined;
    if (this.#changedWriters.size === 0) this.#cancelRetry = void this.#cancelRetry?.();
    this.#logger.info(`the database ${this.#options.path} can be written again`);
  }
}

function changeText(change: FileChange): string {
  return `its file was ${change} while apex ran`;
}
