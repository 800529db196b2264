/**
 * Owns the connection and decides what its failures mean, so that nobody above has to:
 * - a damaged file, or one of a later apex, is moved aside with its -wal and -shm, and a new one begins, into which
 *   every {@linkcode RowWriter} writes what it has to keep;
 * - a file that cannot be opened leaves the database in memory;
 * - a refused write (full disk, no permission, locked) leaves the rows with their writers, and is tried again after
 *   {@linkcode RETRY_MS}; where nobody has rows (it was a step of tidying up), a row of its own is tried;
 * - a file that was deleted or replaced by somebody is told of, when {@linkcode Database.checkFile} looks.
 * Each of these is one loud line in the log, not one for each write, and `status` tells of it.
 *
 * Rows that change in one synchronous block are written in one transaction, with the events that the block tells: the
 * writers only say that they have changed; the journal's commit, at the block's end, writes them all. Where no event
 * follows, they are written right after.
 */
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import {
  type DatabaseOptions,
  failureOf,
  type FileChange,
  openDatabase,
  type OpenedDatabase,
  replaceDatabase,
  type StorageStatus,
} from "./open_database.ts";
import { IN_MEMORY, type SqliteConnection } from "./sqlite_connection.ts";

/** Between two tries of a write that was refused. */
export const RETRY_MS = 5_000;

/** Shows that the database can be written again. */
const PROBE = "INSERT OR REPLACE INTO meta (key, value) VALUES ('probed_ms', :now)";

/** Has rows in the database, and holds those that are not written yet. */
export interface RowWriter {
  /** Writes all that is unwritten, in a transaction. Called again when that failed. */
  writeRows(connection: SqliteConnection): void;
  /** What {@linkcode RowWriter.writeRows} wrote is committed. */
  rowsWritten(): void;
  /** A new, empty database took the place of the one before: what must be in it is unwritten again. */
  databaseBegun(): void;
}

export class Database implements Disposable {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #opened: OpenedDatabase;
  readonly #writers = new Set<RowWriter>();
  /** Those with unwritten rows. */
  readonly #changed = new Set<RowWriter>();
  #isScheduled = false;
  #cancelRetry: (() => void) | undefined;
  #isClosed = false;
  /** What SQLite said to the last write; undefined when it was not refused. */
  #refusal: string | undefined;
  #fileChange: FileChange | undefined;

  constructor({ path, clock, logger }: DatabaseOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#logger = logger;
    this.#opened = openDatabase({ path, clock, logger });
  }

  get status(): StorageStatus {
    const error = this.#refusal ?? (this.#fileChange && changeText(this.#fileChange));
    return error === undefined ? this.#opened.initialStatus : { state: "degraded", error };
  }

  /** There was a file that could not be used: a new one, or none, has taken its place. */
  get hasLostPast(): boolean {
    return this.#opened.hasLostPast;
  }

  /** Nothing reaches a disk. */
  get isInMemory(): boolean {
    return this.#connection.path === IN_MEMORY;
  }

  /** The last write was refused; the next try is the database's own to make. */
  get isRefused(): boolean {
    return this.#refusal !== undefined;
  }

  /** What befell the file since it was opened. It looks now; a change is told in the log, once, and in the status. */
  checkFile(): FileChange | undefined {
    const change = this.#isClosed ? this.#fileChange : this.#opened.file.change;
    if (change === this.#fileChange) return change;
    this.#fileChange = change;
    if (change === undefined) this.#logger.info(`the database ${this.#path} is back in its place`);
    else {
      this.#logger.error(
        `the database ${this.#path}: ${
          changeText(change)
        }; what happens goes into the file that was there, and is lost ` +
          "when apex ends (restart it to begin with what is there)",
      );
    }
    return change;
  }

  /** Adds one that is to be told of a new database. */
  join(writer: RowWriter): void {
    this.#writers.add(writer);
  }

  /** `writer` has unwritten rows: they are written with the block's events, or soon after the block. */
  changed(writer: RowWriter): void {
    if (this.#isClosed) return;
    this.#changed.add(writer);
    if (this.#cancelRetry === undefined) this.#schedule();
  }

  /** Writes all that has changed, now and in one transaction; false when it remains unwritten. Options as for `write`. */
  flush(options: { isDurable?: boolean } = {}): boolean {
    if (this.#changed.size === 0) return true;
    // Once more when a new database had to be begun.
    for (let tries = 0; tries < 2; tries++) {
      const before = this.#connection;
      const isWritten = this.write((connection) => {
        for (const writer of this.#changed) writer.writeRows(connection);
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
   * Does `work` in one transaction, at once; false when nothing of it was written.
   * @param options.isDurable a power failure after it does not undo it: costs an fsync
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

  /** What `work` reads, or `instead` when it cannot be read. */
  read<T>(work: (connection: SqliteConnection) => T, instead: T): T {
    if (this.#isClosed) return instead;
    try {
      return work(this.#connection);
    } catch (error) {
      this.#fail(error);
      return instead;
    }
  }

  /** Tries once more to write what is unwritten, and closes the file. May be called again. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.flush();
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#isClosed = true;
    this.#changed.clear();
    this.#connection[Symbol.dispose]();
  }

  get #connection(): SqliteConnection {
    return this.#opened.connection;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Two microtasks: the journal's commit, scheduled later in the same block, comes first and takes these rows with it.
    queueMicrotask(() =>
      queueMicrotask(() => {
        this.#isScheduled = false;
        if (!this.#isClosed && this.#cancelRetry === undefined) this.flush();
      })
    );
  }

  #retryLater(): void {
    this.#cancelRetry ??= this.#clock.after(RETRY_MS, () => {
      this.#cancelRetry = undefined;
      if (this.#changed.size > 0) this.flush();
      else if (this.isRefused) {
        this.write((connection) => void connection.run(PROBE, { now: String(this.#clock.now()) }));
      }
    });
  }

  #allWritten(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    const written = [...this.#changed];
    this.#changed.clear();
    for (const writer of written) writer.rowsWritten();
  }

  #fail(error: unknown): void {
    const failure = failureOf(error);
    if (failure === "refused") return this.#refused(error);
    this.#connection[Symbol.dispose]();
    this.#refusal = this.#fileChange = undefined;
    const options = { path: this.#path, clock: this.#clock, logger: this.#logger };
    this.#opened = replaceDatabase(options, { error, failure });
    for (const writer of this.#writers) {
      writer.databaseBegun();
      this.#changed.add(writer);
    }
    this.#schedule();
  }

  #refused(error: unknown): void {
    if (this.#refusal === undefined) {
      this.#logger.error(
        `cannot write to the database ${this.#path}: ${
          messageOf(error)
        }; what happens is kept in memory, events only ` +
          `for a short time, and writing is tried again every ${RETRY_MS / 1_000} s`,
      );
    }
    this.#refusal = messageOf(error);
    this.#retryLater();
  }

  #recovered(): void {
    this.#refusal = undefined;
    if (this.#changed.size === 0) this.#cancelRetry = void this.#cancelRetry?.();
    this.#logger.info(`the database ${this.#path} is written again`);
  }
}

function changeText(change: FileChange): string {
  return `its file was ${change} while apex ran`;
}
