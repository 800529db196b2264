/**
 * The file of `--cursor-file`: the cursor of the last printed event. The file is replaced as a whole, at most every 250 ms,
 * and on disposal; only a killed process loses what it has not written yet. Symbolic links are followed, and the file's
 * permissions are kept.
 */
import { dirname } from "@std/path/posix";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import { type Cursor, formatCursor, parseCursor } from "../../protocol/event_operations.ts";

const FLAG = "--cursor-file";
const WRITE_EVERY_MS = 250;
/** A cursor has at most 33 characters; the rest allows for white space around it. */
const MAX_FILE_BYTES = 1_024;

export class CursorFile implements Disposable {
  readonly #path: string;
  readonly #clock: Clock;
  #unwritten: Cursor | undefined;
  #writtenAtMs = 0;
  #cancelWrite: (() => void) | undefined;
  #failure: ApexError | undefined;

  constructor(path: string, { clock }: { readonly clock: Clock }) {
    this.#path = path;
    this.#clock = clock;
  }

  /**
   * The saved cursor; undefined if the file is missing or empty.
   *
   * @throws {ApexError} `usage` for a file that is not regular or does not contain a cursor, and for a missing directory;
   * `failed` if the file cannot be read
   */
  read(): Cursor | undefined {
    let text: string | undefined;
    try {
      const { path, mode, size } = regularFile(this.#path);
      if (mode === undefined) return undefined;
      text = size > MAX_FILE_BYTES ? undefined : Deno.readTextFileSync(path).trim();
    } catch (cause) {
      if (cause instanceof ApexError) {
        throw new ApexError(cause.code, `${FLAG} ${this.#path}: ${cause.message}`, { cause });
      }
      throw new ApexError("failed", `cannot read the cursor file ${this.#path}: ${messageOf(cause)}`, {
        cause,
      });
    }
    if (text === "") return undefined;
    const cursor = text === undefined ? undefined : parseCursor(text);
    if (cursor !== undefined) return cursor;
    throw new ApexError(
      "usage",
      `${FLAG}: ${this.#path} does not contain a cursor; choose another file, or remove this one`,
    );
  }

  /** Notes that all events up to this cursor are printed. @throws {ApexError} `failed` if the file cannot be written */
  printed(cursor: Cursor): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#unwritten = cursor;
    const waitMs = this.#writtenAtMs + WRITE_EVERY_MS - this.#clock.now();
    if (waitMs <= 0 || waitMs > WRITE_EVERY_MS) this.#write();
    else this.#cancelWrite ??= this.#clock.after(waitMs, this.#writeLater);
  }

  /** Writes the last cursor now. @throws {ApexError} `failed` if the file cannot be written */
  flush(): void {
    this.#write();
  }

  /** As `flush` does. May be called again. */
  [Symbol.dispose](): void {
    this.#write();
  }

  readonly #writeLater = (): void => {
    try {
      this.#write();
    } catch (error) {
      // Thrown by the next call of `printed`: a timer has no caller.
      if (!(error instanceof ApexError)) throw error;
      this.#failure = error;
    }
  };

  #write(): void {
    this.#cancelWrite?.();
    this.#cancelWrite = undefined;
    const cursor = this.#unwritten;
    if (cursor === undefined) return;
    this.#unwritten = undefined;
    this.#writtenAtMs = this.#clock.now();
    try {
      replaceFile(this.#path, `${formatCursor(cursor)}\n`);
    } catch (cause) {
      throw new ApexError("failed", `cannot write the cursor file ${this.#path}: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
}

function replaceFile(name: string, text: string): void {
  const { path, mode } = regularFile(name);
  // In the same directory, because a rename cannot cross file systems.
  const temporary = `${path}.${Deno.pid}.tmp`;
  // A killed process with the same pid may have left one.
  removeTemporary(temporary);
  try {
    Deno.writeTextFileSync(temporary, text, { createNew: true, ...(mode !== undefined && { mode }) });
    // The umask may have removed permissions.
    if (mode !== undefined) Deno.chmodSync(temporary, mode);
    Deno.renameSync(temporary, path);
  } catch (error) {
    removeTemporary(temporary);
    throw error;
  }
}

function removeTemporary(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    // Usually it does not exist; and a failed write is the error to report.
    if (!(error instanceof Error)) throw error;
  }
}

interface RegularFile {
  /** The path without symbolic links. */
  readonly path: string;
  /** The permission bits; undefined if the file does not exist yet. */
  readonly mode: number | undefined;
  readonly size: number;
}

/** As many symbolic links as Linux follows. */
const MAX_LINKS = 40;
const PERMISSIONS = 0o7777;

/**
 * Resolves a path to a regular file, or to one that does not exist yet; a dangling link resolves to its target.
 *
 * @throws {ApexError} `usage` for another kind of file, and for a missing directory
 * @throws {Deno.errors} if the path cannot be resolved
 */
function regularFile(path: string): RegularFile {
  let info: Deno.FileInfo;
  try {
    // Only the system can follow the links of /proc, whose text is not a path.
    info = Deno.statSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const end = endOfLinks(path);
    if (unlessNotFound(() => Deno.statSync(dirname(end))) === undefined) {
      throw new ApexError("usage", "its directory does not exist");
    }
    return { path: end, mode: undefined, size: 0 };
  }
  if (!info.isFile) throw new ApexError("usage", `it is ${kindOf(info)}, not a regular file`);
  const { mode, size } = info;
  return { path: Deno.realPathSync(path), mode: mode === null ? undefined : mode & PERMISSIONS, size };
}

/** The target of a dangling link, or the path of a missing file. */
function endOfLinks(path: string): string {
  let end = path;
  for (let links = 0; links < MAX_LINKS; links++) {
    const link = end;
    if (!unlessNotFound(() => Deno.lstatSync(link))?.isSymlink) break;
    const target = Deno.readLinkSync(end);
    // Not normalized, because the meaning of `..` depends on the links before it.
    end = target.startsWith("/") ? target : `${dirname(end)}/${target}`;
  }
  return end;
}

function unlessNotFound<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function kindOf({ isDirectory, isFifo, isSocket, isCharDevice, isBlockDevice }: Deno.FileInfo): string {
  if (isDirectory) return "a directory";
  if (isFifo) return "a FIFO";
  if (isSocket) return "a socket";
  return isCharDevice || isBlockDevice ? "a device" : "a special file";
}
