/**
 * A file that says up to where events were printed. It is replaced as a whole, never half written, and not for each event:
 * what was printed since the last time is written at the end, too, unless the process is killed. Behind a symbolic link it
 * is the file there that is replaced; its permissions stay.
 */
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import { type Cursor, formatCursor, parseCursor } from "../../protocol/event_messages.ts";
import { regularFile } from "./regular_file.ts";

const FLAG = "--cursor-file";
const WRITE_EVERY_MS = 250;
/** A cursor has 33 characters at most; the rest is for blanks around it. */
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
   * Undefined when there is no such file, or nothing in it.
   *
   * @throws {ApexError} `usage` for a file that is not regular or does not hold a cursor, and for a missing directory; `failed` when it cannot be read
   */
  read(): Cursor | undefined {
    let text: string | undefined;
    try {
      const { path, mode } = regularFile(this.#path);
      text = mode === undefined ? "" : readShortText(path);
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
      `${FLAG}: ${this.#path} does not hold a cursor; name another file, or remove this one`,
    );
  }

  /** Everything up to there was printed. @throws {ApexError} `failed` when it cannot be written */
  printed(cursor: Cursor): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#unwritten = cursor;
    const waitMs = this.#writtenAtMs + WRITE_EVERY_MS - this.#clock.now();
    if (waitMs <= 0 || waitMs > WRITE_EVERY_MS) this.#write();
    else this.#cancelWrite ??= this.#clock.after(waitMs, this.#writeLater);
  }

  /** Writes what is unwritten. @throws {ApexError} `failed` when it cannot be written */
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
      // Told when there is somebody to tell.
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

/** Without the blanks around it; undefined for a file that is longer than any that holds a cursor. */
function readShortText(path: string): string | undefined {
  using file = Deno.openSync(path);
  const buffer = new Uint8Array(MAX_FILE_BYTES + 1);
  let length = 0;
  while (length < buffer.length) {
    const count = file.readSync(buffer.subarray(length));
    if (count === null) break;
    length += count;
  }
  return length > MAX_FILE_BYTES ? undefined : new TextDecoder().decode(buffer.subarray(0, length)).trim();
}

function replaceFile(name: string, text: string): void {
  const { path, mode } = regularFile(name);
  // Beside it: what is renamed must not leave its file system.
  const temporary = `${path}.${Deno.pid}.tmp`;
  // Of an earlier process of that number, which was killed.
  removeTemporary(temporary);
  try {
    Deno.writeTextFileSync(temporary, text, { createNew: true, ...(mode !== undefined && { mode }) });
    // The umask may have taken some of it.
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
    // Most often it was never there; and why the writing failed is what has to be told.
    if (!(error instanceof Error)) throw error;
  }
}
