import { delay } from "@std/async/delay";
import { ApexError, messageOf } from "../../platform/apex_error.ts";

/** A terminal, a pipe or a file that a verb writes to. */
export interface Output {
  readonly isTerminal: boolean;
  /** Columns of the terminal, where it is one. */
  readonly columns: number | undefined;
  /** Whether to colour: on a terminal, unless `NO_COLOR` is set. */
  readonly colors: boolean;
  /**
   * Writes all of it, and blocks while the reader does not read: a third of the time of an asynchronous write, and a verb
   * that prints has nothing else to do. Signals end such a verb all the same, since it does not listen for them.
   *
   * @throws {OutputClosedError} when the reader has gone.
   * @throws {ApexError} `failed` when it cannot be written otherwise: the disk is full, for example.
   */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * The same, but while the reader does not read, other things go on: for verbs that listen for signals.
   *
   * @throws as `write` does.
   */
  relay(bytes: Uint8Array): Promise<void>;
  /** Writes a line. */
  print(line: string): Promise<void>;
}

/** The reader of the output has gone (`apex events | head -1`): nobody is left to tell, and nothing has failed. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";
}

/** What of `Deno.stdout` and `Deno.stderr` is needed. */
export interface OutputStream {
  writeSync(bytes: Uint8Array): number;
  write(bytes: Uint8Array): Promise<number>;
  isTerminal(): boolean;
}

/** @param env reads an environment variable */
export function openOutput(stream: OutputStream, env: (name: string) => string | undefined): Output {
  const isTerminal = stream.isTerminal();
  const write = (bytes: Uint8Array) => writeAll(bytes, (rest) => stream.writeSync(rest));
  return {
    isTerminal,
    // A terminal of no size yet says 0.
    columns: isTerminal && Deno.consoleSize().columns || undefined,
    colors: isTerminal && !env("NO_COLOR"),
    write,
    relay: (bytes) => writeAll(bytes, (rest) => stream.write(rest)),
    print: (line) => write(new TextEncoder().encode(`${line}\n`)),
  };
}

/** A pipe that its owner has made non-blocking says WouldBlock when it is full; there is no telling when it drains. */
const FULL_PIPE_PAUSE_MS = 5;

async function writeAll(
  bytes: Uint8Array,
  write: (rest: Uint8Array) => number | Promise<number>,
): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    try {
      const count = write(bytes.subarray(written));
      // Awaiting what is there already would cost a turn for each line.
      written += typeof count === "number" ? count : await count;
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw new OutputClosedError("closed", { cause: error });
      if (!(error instanceof Deno.errors.WouldBlock)) {
        throw new ApexError("failed", `cannot write the output: ${messageOf(error)}`, { cause: error });
      }
      await delay(FULL_PIPE_PAUSE_MS);
    }
  }
}
