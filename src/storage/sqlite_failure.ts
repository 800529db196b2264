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
