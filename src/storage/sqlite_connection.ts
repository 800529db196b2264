import { DatabaseSync, type StatementSync } from "node:sqlite";
import { MIGRATIONS, SCHEMA_VERSION } from "./schema.ts";

/** The path of a database without a file, which exists as long as its connection. */
export const IN_MEMORY = ":memory:";

/** How long opening waits for another process that has locked the file. */
const OPEN_TIMEOUT_MS = 2_000;

/** The same for each statement. Waiting blocks the event loop, but a refused write costs the event log its epoch. */
const BUSY_TIMEOUT_MS = 100;

/** Four times the default, because inserts into the index by task have no locality. */
const CACHE_KIB = 8_000;

/** The value of a column or of a parameter. */
export type SqlValue = string | number | null | Uint8Array;

/** A row, by column name. */
export type SqlRow = Readonly<Record<string, SqlValue>>;

/**
 * One open database file, and its prepared statements. Every method throws SQLite's own error, which
 * {@linkcode sqliteFailureOf} interprets.
 */
export class SqliteConnection implements Disposable {
  /** Path of the file, or {@linkcode IN_MEMORY}. */
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #isClosed = false;

  /** Opens the file, creating it (0600) when it does not exist, and migrates its tables. */
  constructor(path: string) {
    if (path !== IN_MEMORY) makePrivate(path);
    this.path = path;
    this.#database = new DatabaseSync(path);
    try {
      this.#prepareFile();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** @param sql a constant: the connection keeps a prepared statement for each text */
  run(sql: string, parameters: SqlRow = {}): { readonly changes: number } {
    return { changes: Number(this.#statement(sql).run(parameters).changes) };
  }

  rows(sql: string, parameters: SqlRow = {}): SqlRow[] {
    return this.#statement(sql).all(parameters) as SqlRow[];
  }

  /** Returns a function that runs the statement with the values of its `?`s, in order. For many rows. */
  prepared(sql: string): (...values: SqlValue[]) => void {
    const statement = this.#statement(sql);
    return (...values) => void statement.run(...values);
  }

  /** Commits everything that `work` changes, or nothing when it throws. `isDurable`: a power failure does not undo it. */
  transaction(work: () => void, { isDurable = false } = {}): void {
    if (isDurable) this.#database.exec("PRAGMA synchronous=FULL");
    try {
      this.#statement("BEGIN IMMEDIATE").run();
      try {
        work();
        this.#statement("COMMIT").run();
      } catch (error) {
        this.#rollBack();
        throw error;
      }
    } finally {
      if (isDurable) this.#database.exec("PRAGMA synchronous=NORMAL");
    }
  }

  /** Idempotent. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#statements.clear();
    this.#database.close();
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, statement = this.#database.prepare(sql));
    return statement;
  }

  #prepareFile(): void {
    // A pragma, because Deno 2.4 ignores the option of the constructor.
    this.#database.exec(`PRAGMA busy_timeout=${OPEN_TIMEOUT_MS}`);
    // Has an effect only before the first table is created.
    this.#database.exec("PRAGMA auto_vacuum=INCREMENTAL");
    this.#database.exec("PRAGMA journal_mode=WAL");
    // A crash of apex loses no commit; a crash of the machine may lose the last ones.
    this.#database.exec("PRAGMA synchronous=NORMAL");
    this.#database.exec(`PRAGMA cache_size=-${CACHE_KIB}`);
    this.#migrate();
    this.#database.exec(`PRAGMA busy_timeout=${BUSY_TIMEOUT_MS}`);
  }

  #migrate(): void {
    this.#database.exec("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)");
    const [row] = this.#database.prepare("SELECT value FROM meta WHERE key = 'schema_version'").all();
    const version = Number(row?.value ?? 0);
    if (!Number.isSafeInteger(version) || version < 0) {
      throw new UnusableFileError(`its schema version ${JSON.stringify(row?.value)} is invalid`);
    }
    if (version > SCHEMA_VERSION) {
      throw new UnusableFileError(
        `its schema has version ${version}, and this version of apex supports versions up to ${SCHEMA_VERSION}`,
        "newer",
      );
    }
    if (version === SCHEMA_VERSION) return;
    this.transaction(() => {
      for (const step of MIGRATIONS.slice(version)) this.#database.exec(step);
      this.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('schema_version', :version)", {
        version: String(SCHEMA_VERSION),
      });
    });
  }

  #rollBack(): void {
    try {
      this.#database.exec("ROLLBACK");
    } catch (error) {
      // SQLite has already rolled back after a full disk and some other errors. The first error is the one to report.
      if (!(error instanceof Error && error.message.includes("no transaction is active"))) throw error;
    }
  }
}

/** SQLite gives the -wal and -shm files the permissions of the database file. */
function makePrivate(path: string): void {
  Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 }).close();
  Deno.chmodSync(path, 0o600);
}

/** The contents of the file are not what this version of apex can have written. */
export class UnusableFileError extends Error {
  override readonly name: string = "UnusableFileError";

  /** @param failure `newer`: a later version of apex wrote the file, with tables that this version does not know */
  constructor(message: string, readonly failure: "damaged" | "newer" = "damaged") {
    super(message);
  }
}

/**
 * What a failed statement says about the file. `damaged`, `newer`: the file cannot be used, and a new one must be created.
 * `refused`: it cannot be read or written now (full disk, no permission, locked by another process).
 */
export type SqliteFailure = "damaged" | "newer" | "refused";

/** `node:sqlite` passes on nothing but SQLite's messages. */
const DAMAGE = /file is not a database|malformed|no such (table|column)|has no column/;

/** @throws `error` itself when it comes from neither SQLite nor the file system: a defect of the program */
export function sqliteFailureOf(error: unknown): SqliteFailure {
  if (error instanceof UnusableFileError) return error.failure;
  // A JSON column does not contain JSON.
  if (error instanceof SyntaxError) return "damaged";
  if (!(error instanceof Error) || !("code" in error)) throw error;
  // An integer that a double cannot represent, which apex never writes.
  if (error.code === "ERR_OUT_OF_RANGE") return "damaged";
  return error.code === "ERR_SQLITE_ERROR" && DAMAGE.test(error.message) ? "damaged" : "refused";
}
