/** Standard input, output and error as the verbs use them. */
import { delay } from "@std/async/delay";
import { ApexError, messageOf } from "../platform/apex_error.ts";

/** A terminal, a pipe or a file that a verb writes to. */
export interface Output {
  readonly isTerminal: boolean;
  /** The width of the terminal; undefined if this is not a terminal. */
  readonly columns: number | undefined;
  /** Whether to use colours: on a terminal, unless `NO_COLOR` is set. */
  readonly colors: boolean;
  /**
   * Writes all bytes. Blocks the process while the reader does not read: a blocking write takes a third of the time of an
   * asynchronous one, and most verbs have nothing else to do. Signals still end such a verb, because it has no handlers.
   *
   * @throws {OutputClosedError} when the reader has closed the pipe
   * @throws {ApexError} `failed` for any other error, such as a full disk
   */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Writes all bytes without blocking the process, for verbs that handle signals.
   *
   * @throws as `write` does
   */
  relay(bytes: Uint8Array): Promise<void>;
  /** Writes a line, as `write` does. */
  print(line: string): Promise<void>;
}

/** The reader of the output has closed the pipe, as in `apex events | head -1`. This is not a failure. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";
}

/** The part of `Deno.stdout` and `Deno.stderr` that {@linkcode openOutput} uses. */
export type OutputStream = Pick<typeof Deno.stdout, "writeSync" | "write" | "isTerminal">;

/** @param env reads an environment variable */
export function openOutput(stream: OutputStream, env: (name: string) => string | undefined): Output {
  const isTerminal = stream.isTerminal();
  const write = (bytes: Uint8Array) => writeAll(bytes, (rest) => stream.writeSync(rest));
  return {
    isTerminal,
    columns: isTerminal && Deno.consoleSize().columns || undefined,
    colors: isTerminal && !env("NO_COLOR"),
    write,
    relay: (bytes) => writeAll(bytes, (rest) => stream.write(rest)),
    print: (line) => write(new TextEncoder().encode(`${line}\n`)),
  };
}

/** In cells. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** The size for a session if standard output is not a terminal. */
const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };

/** The current size of the terminal on standard output, or 80×24 if that is not a terminal. */
export function terminalSize({ isTerminal }: Output): TerminalSize {
  if (!isTerminal) return DEFAULT_SIZE;
  const { columns, rows } = Deno.consoleSize();
  // A terminal whose size was never set reports 0.
  return columns > 0 && rows > 0 ? { columns, rows } : DEFAULT_SIZE;
}

/** A terminal, a pipe or a file that a verb reads from. */
export interface Input {
  readonly isTerminal: boolean;
  /** Whether it is a pipe, or a file that is not empty. Reads nothing. */
  isPiped(): Promise<boolean>;
  /** Reads the bytes that are available; resolves with their number, or with null at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Reads a line, without its line feed; null at the end of the input. */
  readLine(): Promise<string | null>;
}

/** The part of `Deno.stdin` that {@linkcode openInput} uses. */
export type InputStream = Pick<typeof Deno.stdin, "read" | "isTerminal">;

export function openInput(stream: InputStream): Input {
  return {
    get isTerminal() {
      return stream.isTerminal();
    },
    isPiped,
    read: (buffer) => stream.read(buffer),
    readLine: () => readLine(stream),
  };
}

/** How long to wait before writing to a full non-blocking pipe again: nothing reports when it drains. */
const FULL_PIPE_PAUSE_MS = 5;

async function writeAll(
  bytes: Uint8Array,
  write: (rest: Uint8Array) => number | Promise<number>,
): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    try {
      const count = write(bytes.subarray(written));
      // Awaiting a plain number would cost a turn of the event loop for each line.
      written += typeof count === "number" ? count : await count;
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw new OutputClosedError("closed", { cause: error });
      // Only a pipe that its owner has made non-blocking reports WouldBlock.
      if (!(error instanceof Deno.errors.WouldBlock)) {
        throw new ApexError("failed", `cannot write the output: ${messageOf(error)}`, { cause: error });
      }
      await delay(FULL_PIPE_PAUSE_MS);
    }
  }
}

/** Deno's streams do not report their kind, so the device file is asked. */
async function isPiped(): Promise<boolean> {
  try {
    const { isFifo, isFile, size } = await Deno.stat("/dev/stdin");
    return isFifo === true || (isFile && size > 0);
  } catch (error) {
    // /dev may be missing, and the device may belong to another user.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

/** Answers are single words; a longer line is cut here. */
const MAX_LINE_BYTES = 4_096;
const LF = 0x0a;

/** Reads byte by byte, because the bytes after the line belong to the next reader of the terminal. */
async function readLine(stream: InputStream): Promise<string | null> {
  const decoder = new TextDecoder();
  const byte = new Uint8Array(1);
  let line = "";
  for (let length = 0; length < MAX_LINE_BYTES; length++) {
    if (await stream.read(byte) === null) return line === "" ? null : line;
    if (byte[0] === LF) break;
    line += decoder.decode(byte, { stream: true });
  }
  return line;
}
