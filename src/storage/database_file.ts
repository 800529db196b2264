import { IN_MEMORY } from "./sqlite_connection.ts";

/** What befell a file that is open under its path: SQLite goes on in the one that it has, which nobody finds any more. */
export type FileChange = "deleted" | "replaced";

/** The database's file as the file system knows it, from when it was opened on. */
export class DatabaseFile {
  readonly #path: string;
  /** Which file it is; undefined where that cannot be known. */
  readonly #opened: string | undefined;

  /** To be made when the file at `path` has just been opened. */
  constructor(path: string) {
    this.#path = path;
    this.#opened = this.#current();
  }

  /** Looked at now; undefined while it is the file that was opened, as far as can be known. */
  get change(): FileChange | undefined {
    if (this.#opened === undefined) return undefined;
    const current = this.#current();
    if (current === undefined || current === this.#opened) return undefined;
    return current === "" ? "deleted" : "replaced";
  }

  /** Empty for none. */
  #current(): string | undefined {
    if (this.#path === IN_MEMORY) return undefined;
    try {
      const { dev, ino } = Deno.statSync(this.#path);
      return ino === null ? undefined : `${dev}:${ino}`;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "";
      // Whatever else the file system says (a directory that may not be searched) does not say that the file is gone.
      if (error instanceof Error && "code" in error) return undefined;
      throw error;
    }
  }
}

/** Renames the file and what SQLite keeps beside it. @throws what the file system says */
export function moveAside(path: string, aside: string): void {
  for (const suffix of ["", "-wal", "-shm"]) {
    try {
      Deno.renameSync(path + suffix, aside + suffix);
    } catch (error) {
      // SQLite makes the -wal and -shm files only when it needs them.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
