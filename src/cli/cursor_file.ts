/**
 * A file that says up to where events were printed. It is replaced as a whole, never half written, and not for each event:
 * what was printed since the last time is written at the end, too, unless the process is killed.
 */
import { ApexError, messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import { type Cursor, formatCursor, parseCursor } from "../protocol/cursor.ts";

const WRITE_EVERY_MS = 250;

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

  /** Undefined when there is no such file, or nothing in it. @throws {ApexError} `usage` for what is no cursor */
  read(): Cursor | undefined {
    let text: string;
    try {
      text = Deno.readTextFileSync(this.#path).trim();
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return undefined;
      throw new ApexError("failed", `cannot read the cursor file: ${messageOf(cause)}`, { cause });
    }
    if (text === "") return undefined;
    const cursor = parseCursor(text);
    if (cursor !== undefined) return cursor;
    throw new ApexError(
      "usage",
      `--cursor-file: what is in ${this.#path} is no cursor; was it written by apex events?`,
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
    const temporary = `${this.#path}.${Deno.pid}.tmp`;
    try {
      Deno.writeTextFileSync(temporary, `${formatCursor(cursor)}\n`);
      Deno.renameSync(temporary, this.#path);
    } catch (cause) {
      removeTemporary(temporary);
      throw new ApexError("failed", `cannot write the cursor file: ${messageOf(cause)}`, { cause });
    }
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
