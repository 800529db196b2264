/**
 * Opens the database file, and decides what replaces one that cannot be used. A damaged file, or one that a later version of
 * apex wrote, is moved aside and a new one is created. Where no file can be opened, the database is in memory.
 */
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { IN_MEMORY, SqliteConnection, type SqliteFailure, sqliteFailureOf } from "./sqlite_connection.ts";

export interface DatabaseOptions {
  /** Path of the file, or `:memory:`. */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * `degraded`: what apex writes does not reach the file, or the file is no longer at its path. `error` says why; with `ok` it
 * says what became of an unusable file.
 */
export interface StorageStatus {
  readonly state: "ok" | "degraded";
  readonly error?: string;
}

export interface OpenedDatabase {
  readonly connection: SqliteConnection;
  /** Reports whether another program deleted or replaced the file since it was opened. */
  readonly fileChange: () => FileChange | undefined;
  /** The status while this database is in use and its writes succeed. */
  readonly initialStatus: StorageStatus;
  /** A file existed, and could not be used: a new file, or memory, has replaced it. */
  readonly hasLostPast: boolean;
}

/** Opens the file or its replacement. Logs an error when it is a replacement. */
export function openDatabase(options: DatabaseOptions): OpenedDatabase {
  try {
    return opened(new SqliteConnection(options.path), { state: "ok" });
  } catch (error) {
    const failure = sqliteFailureOf(error);
    return failure === "refused"
      ? openInMemory(options, error)
      : replaceDatabase(options, { error, failure });
  }
}

/** Moves the file aside and creates a new one. The caller has closed the connection to the file. */
export function replaceDatabase(
  options: DatabaseOptions,
  { error, failure }: { error: unknown; failure: Exclude<SqliteFailure, "refused"> },
): OpenedDatabase {
  const { path, clock, logger } = options;
  const time = new Date(clock.now()).toISOString().replaceAll(/[-:]/g, "");
  const aside = `${path}.${failure === "damaged" ? "corrupt" : "newer"}-${time}`;
  try {
    if (path !== IN_MEMORY) moveAside(path, aside);
    const connection = new SqliteConnection(path);
    const reason = `${messageOf(error)}; it was moved to ${aside}, and a new database was created`;
    logger.error(`cannot use the database ${path}: ${reason}; its history is no longer available`);
    return { ...opened(connection, { state: "ok", error: reason }), hasLostPast: true };
  } catch (cause) {
    // Rethrows a defect of the program.
    sqliteFailureOf(cause);
    return { ...openInMemory(options, cause), hasLostPast: true };
  }
}

function openInMemory({ path, logger }: DatabaseOptions, error: unknown): OpenedDatabase {
  logger.error(
    `cannot open the database ${path}: ${
      messageOf(error)
    }; apex keeps nothing on disk until it is restarted ` +
      "(check that the directory is writable and the disk is not full)",
  );
  return opened(new SqliteConnection(IN_MEMORY), { state: "degraded", error: messageOf(error) });
}

function opened(connection: SqliteConnection, initialStatus: StorageStatus): OpenedDatabase {
  return { connection, fileChange: watchFile(connection.path), initialStatus, hasLostPast: false };
}

/** What happened to the open file at its path. SQLite continues to use the file that it opened, which is no longer found there. */
export type FileChange = "deleted" | "replaced";

/**
 * Remembers which file is open at `path`. The returned function compares it with the file that is there now; undefined when it
 * is the same, or that cannot be known.
 */
function watchFile(path: string): () => FileChange | undefined {
  const opened = fileIdAt(path);
  return () => {
    const current = opened === undefined ? undefined : fileIdAt(path);
    if (current === undefined || current === opened) return undefined;
    return current === "" ? "deleted" : "replaced";
  };
}

/** Device and inode; empty when no file is at the path, undefined when the file system does not report them. */
function fileIdAt(path: string): string | undefined {
  if (path === IN_MEMORY) return undefined;
  try {
    const { dev, ino } = Deno.statSync(path);
    return ino === null ? undefined : `${dev}:${ino}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    // Any other error, such as a directory that may not be searched, does not mean that the file was deleted.
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

/** Renames the file and its -wal and -shm files. @throws the file system's error */
function moveAside(path: string, aside: string): void {
  for (const suffix of ["", "-wal", "-shm"]) {
    try {
      Deno.renameSync(path + suffix, aside + suffix);
    } catch (error) {
      // SQLite creates the -wal and -shm files only when it needs them.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
