/**
 * Owns the connection and decides what its failures mean, so that nobody above has to:
 * - a damaged file, or one of a later apex, is moved aside with its -wal and -shm, and a new one begins, into which
 *   every {@linkcode RowWriter} writes what it has to keep;
 * - a file that cannot be opened leaves the database in memory;
 * - a refused write (full disk, no permission, locked) leaves the rows with their writers, and is tried again after
 *   {@linkcode RETRY_MS}.
 * Each of these is one loud line in the log, not one for each write, and `status` tells of it.
 *
 * Rows that change in one synchronous block are written in one transaction, with the events that the block tells: the
 * writers only say that they have changed; the journal's commit, at the block's end, writes them all. Where no event
 * follows, they are written right after.
 */
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { IN_MEMORY, SqliteConnection } from "./sqlite_connection.ts";
import { type SqliteFailure, sqliteFailureOf } from "./sqlite_failure.ts";

/** Between two tries of a write that was refused. */
export const RETRY_MS = 5_000;

/** How the file stands. `degraded`: it is not written. `error` says why, or what became of an unusable one. */
export interface StorageStatus {
  readonly state: "ok" | "degraded";
  readonly error?: string;
}

/** Has rows in the database, and holds those that are not written yet. */
export interface RowWriter {
  /** Writes all that is unwritten, in a transaction. Called again when that failed. */
  writeRows(connection: SqliteConnection): void;
  /** What {@linkcode RowWriter.writeRows} wrote is committed. */
  rowsWritten(): void;
  /** A new, empty database took the place of the one before: what must be in it is unwritten again. */
  databaseBegun(): void;
}

export interface DatabaseOptions {
  /** Of the file, or `:memory:`. */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Database implements Disposable {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #connection: SqliteConnection;
  readonly #writers = new Set<RowWriter>();
  /** Those with unwritten rows. */
  readonly #changed = new Set<RowWriter>();
  #isScheduled = false;
  #cancelRetry: (() => void) | undefined;
  #isClosed = false;
  #status: StorageStatus = { state: "ok" };
  /** The last write was refused. */
  #isRefused = false;

  constructor({ path, clock, logger }: DatabaseOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#logger = logger;
    this.#connection = this.#open();
  }

  get status(): StorageStatus {
    return this.#status;
  }

  /** Nothing reaches a disk. */
  get isInMemory(): boolean {
    return this.#connection.path === IN_MEMORY;
  }

  /** The last write was refused; the next try is the database's own to make. */
  get isRefused(): boolean {
    return this.#isRefused;
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
    this.#cancelRetry ??= this.#clock.after(RETRY_MS, () => this.#retry());
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
    if (this.#isRefused) this.#recovered();
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

  #retry(): void {
    this.#cancelRetry = undefined;
    this.flush();
  }

  #allWritten(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    const written = [...this.#changed];
    this.#changed.clear();
    for (const writer of written) writer.rowsWritten();
  }

  #open(): SqliteConnection {
    try {
      return new SqliteConnection(this.#path);
    } catch (error) {
      const failure = failureOf(error);
      return failure === "refused" ? this.#openInMemory(error) : this.#beginAnew(error, failure);
    }
  }

  #fail(error: unknown): void {
    const failure = failureOf(error);
    if (failure === "refused") return this.#refused(error);
    this.#connection[Symbol.dispose]();
    this.#isRefused = false;
    this.#connection = this.#beginAnew(error, failure);
    for (const writer of this.#writers) {
      writer.databaseBegun();
      this.#changed.add(writer);
    }
    this.#schedule();
  }

  #refused(error: unknown): void {
    if (!this.#isRefused) {
      this.#logger.error(
        `cannot write to the database ${this.#path}: ${
          messageOf(error)
        }; what happens is kept in memory, events only ` +
          `for a short time, and writing is tried again every ${RETRY_MS / 1_000} s`,
      );
    }
    this.#isRefused = true;
    this.#status = { state: "degraded", error: messageOf(error) };
  }

  #recovered(): void {
    this.#isRefused = false;
    this.#status = { state: "ok" };
    this.#logger.info(`the database ${this.#path} is written again`);
  }

  #beginAnew(error: unknown, failure: Exclude<SqliteFailure, "refused">): SqliteConnection {
    const time = new Date(this.#clock.now()).toISOString().replaceAll(/[-:]/g, "");
    const aside = `${this.#path}.${failure === "damaged" ? "corrupt" : "newer"}-${time}`;
    try {
      if (this.#path !== IN_MEMORY) {
        for (const suffix of ["", "-wal", "-shm"]) renameIfThere(this.#path + suffix, aside + suffix);
      }
      const connection = new SqliteConnection(this.#path);
      const what = `${messageOf(error)}: it was moved to ${aside}, and a new one began`;
      this.#status = { state: "ok", error: what };
      this.#logger.error(
        `the database ${this.#path} cannot be used, ${what}; what it told of the past is gone`,
      );
      return connection;
    } catch (cause) {
      if (sqliteFailureOf(cause) === undefined) throw cause;
      return this.#openInMemory(cause);
    }
  }

  #openInMemory(error: unknown): SqliteConnection {
    this.#status = { state: "degraded", error: messageOf(error) };
    this.#logger.error(
      `cannot open the database ${this.#path}: ${
        messageOf(error)
      }; nothing is kept on disk until apex is started ` +
        "again (see that its directory can be written and has space)",
    );
    return new SqliteConnection(IN_MEMORY);
  }
}

/** @throws what is no failure of the database */
function failureOf(error: unknown): SqliteFailure {
  const failure = sqliteFailureOf(error);
  if (failure === undefined) throw error;
  return failure;
}

function renameIfThere(from: string, to: string): void {
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    // SQLite makes the -wal and -shm files only when it needs them.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
