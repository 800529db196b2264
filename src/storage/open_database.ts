import { messageOf } from "../platform/apex_error.ts";
import type { DatabaseOptions, StorageStatus } from "./database.ts";
import { DatabaseFile, moveAside } from "./database_file.ts";
import { IN_MEMORY, SqliteConnection } from "./sqlite_connection.ts";
import { type SqliteFailure, sqliteFailureOf } from "./sqlite_failure.ts";

/** What is written to, and how it came to that. */
export interface OpenedDatabase {
  readonly connection: SqliteConnection;
  readonly file: DatabaseFile;
  /** For as long as this is the one that is written to, and its writes are not refused. */
  readonly standing: StorageStatus;
  /** There was a file, and it could not be used: a new one has taken its place, or none. */
  readonly hasLostPast: boolean;
}

/** Opens the file, or whatever can be had instead of it, and says loudly what that is. */
export function openDatabase(options: DatabaseOptions): OpenedDatabase {
  try {
    return opened(new SqliteConnection(options.path), { state: "ok" });
  } catch (error) {
    const failure = failureOf(error);
    return failure === "refused" ? openInMemory(options, error) : beginAnew(options, { error, failure });
  }
}

/** Moves a file that is not open any more aside, and makes a new one. */
export function beginAnew(
  options: DatabaseOptions,
  { error, failure }: { error: unknown; failure: Exclude<SqliteFailure, "refused"> },
): OpenedDatabase {
  const { path, clock, logger } = options;
  const time = new Date(clock.now()).toISOString().replaceAll(/[-:]/g, "");
  const aside = `${path}.${failure === "damaged" ? "corrupt" : "newer"}-${time}`;
  try {
    if (path !== IN_MEMORY) moveAside(path, aside);
    const connection = new SqliteConnection(path);
    const what = `${messageOf(error)}: it was moved to ${aside}, and a new one began`;
    logger.error(`the database ${path} cannot be used, ${what}; what it told of the past is gone`);
    return { ...opened(connection, { state: "ok", error: what }), hasLostPast: true };
  } catch (cause) {
    if (sqliteFailureOf(cause) === undefined) throw cause;
    return { ...openInMemory(options, cause), hasLostPast: true };
  }
}

/** @throws what is no failure of the database */
export function failureOf(error: unknown): SqliteFailure {
  const failure = sqliteFailureOf(error);
  if (failure === undefined) throw error;
  return failure;
}

function openInMemory({ path, logger }: DatabaseOptions, error: unknown): OpenedDatabase {
  logger.error(
    `cannot open the database ${path}: ${messageOf(error)}; nothing is kept on disk until apex is started ` +
      "again (see that its directory can be written and has space)",
  );
  return opened(new SqliteConnection(IN_MEMORY), { state: "degraded", error: messageOf(error) });
}

function opened(connection: SqliteConnection, standing: StorageStatus): OpenedDatabase {
  return { connection, file: new DatabaseFile(connection.path), standing, hasLostPast: false };
}
