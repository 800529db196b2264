import { DatabaseSync, type StatementSync } from "node:sqlite";
import { MIGRATIONS, SCHEMA_VERSION } from "./schema.ts";

/** A path that is no file: the database is gone with its connection. */
export const IN_MEMORY = ":memory:";

/** Somebody who looks into the file may hold it for so long while it is opened. */
const OPEN_TIMEOUT_MS = 2_000;

/** And so long later: it holds up the event loop, but a write that is refused costs the event log its epoch. */
const BUSY_TIMEOUT_MS = 100;

/** Four times the usual: an event's place in the index by task may be anywhere. */
const CACHE_KIB = 8_000;

/** A value of a column, or of a parameter. */
export type SqlValue = string | number | null | Uint8Array;

/** A row, by column name. */
export type SqlRow = Readonly<Record<string, SqlValue>>;

/**
 * One open database file and its prepared statements, each prepared once. Every method throws SQLite's own error, which
 * `sqlite_failure.ts` reads.
 */
export class SqliteConnection implements Disposable {
  /** Of the file, or {@linkcode IN_MEMORY}. */
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #isClosed = false;

  /** Opens the file, creating it (0600) if need be, and brings its tables up to date. */
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

  /** @param sql a constant: each text is kept with its prepared statement */
  run(sql: string, parameters: Readonly<Record<string, SqlValue>> = {}): { readonly changes: number } {
    return { changes: Number(this.#statement(sql).run(parameters).changes) };
  }

  rows(sql: string, parameters: Readonly<Record<string, SqlValue>> = {}): SqlRow[] {
    return this.#statement(sql).all(parameters) as SqlRow[];
  }

  /** A statement for many rows: called with the values of its `?`s, in their order. */
  prepared(sql: string): (...values: SqlValue[]) => void {
    const statement = this.#statement(sql);
    return (...values) => void statement.run(...values);
  }

  /** All that `work` changes, or nothing of it when it throws. `isDurable`: it outlives a power failure. */
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

  /** May be called again. */
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
    // By pragma, because Deno 2.4 ignores the constructor's option. Only here is it worth while to wait for another reader.
    this.#database.exec(`PRAGMA busy_timeout=${OPEN_TIMEOUT_MS}`);
    // Works only before the first table is made.
    this.#database.exec("PRAGMA auto_vacuum=INCREMENTAL");
    this.#database.exec("PRAGMA journal_mode=WAL");
    // A crash of apex loses nothing, one of the machine at most the last commits.
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
      throw new DamageError(`its schema has the version ${JSON.stringify(row?.value)}`);
    }
    if (version > SCHEMA_VERSION) {
      throw new NewerSchemaError(
        `its schema has version ${version}, and this apex knows ${SCHEMA_VERSION} at most`,
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
      // A full disk and some other errors have rolled back already; what matters is the first error.
      if (!(error instanceof Error && error.message.includes("no transaction is active"))) throw error;
    }
  }
}

/** SQLite gives its -wal and -shm files the permissions of the file itself. */
function makePrivate(path: string): void {
  Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 }).close();
  Deno.chmodSync(path, 0o600);
}

/** What a failed statement means for the database file. SQLite's messages are all that `node:sqlite` passes on. */

/** The file was written by a later version of apex, whose tables this one does not know. */
export class NewerSchemaError extends Error {
  override readonly name: string = "NewerSchemaError";
}

/** What is in the file is nothing that apex has written. The message says what, for after "it cannot be used, ". */
export class DamageError extends Error {
  override readonly name: string = "DamageError";
}

/**
 * `damaged`: the file is no database, or not a whole one; a new one must be begun. `newer`: a new one must be begun too.
 * `refused`: the file is all right as far as anyone knows, but it cannot be written or read now (full disk, no permission,
 * locked by somebody).
 */
export type SqliteFailure = "damaged" | "newer" | "refused";

const DAMAGE = /file is not a database|malformed|no such (table|column)|has no column/;

/** Undefined for what neither SQLite nor the file system said: a mistake in the program. */
export function sqliteFailureOf(error: unknown): SqliteFailure | undefined {
  if (error instanceof NewerSchemaError) return "newer";
  // A value that was written as JSON and is none any more.
  if (error instanceof DamageError || error instanceof SyntaxError) return "damaged";
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  // A whole number that no double holds: none was written.
  if (error.code === "ERR_OUT_OF_RANGE") return "damaged";
  return error.code === "ERR_SQLITE_ERROR" && DAMAGE.test(error.message) ? "damaged" : "refused";
}
