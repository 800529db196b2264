/** A running command of a container or an exec: its interface, its standard input, and the reading of its output. */
import { settlesWithin } from "../../platform/async/wait.ts";
import type { ConsoleSize } from "../spec/body_schema.ts";

/** After the exit, how long output is still read. Only a child that escaped can keep the pipe open for longer. */
const DRAIN_TIMEOUT_MS = 500;

export type StdStream = "stdout" | "stderr";

export interface ProcessOptions {
  /** Awaited before the next read of that stream: a fast writer is slowed down rather than buffered. */
  readonly onOutput: (stream: StdStream, chunk: Uint8Array) => Promise<void> | void;
  /** Opens a standard input to write to. Without it the process reads the end of the file or, at a terminal, nothing. */
  readonly stdin?: boolean;
}

export interface ContainerProcess {
  /** Of the command itself, which leads its process group and its session. */
  readonly pid: number;
  /** Resolves when the command has exited; there may be output left to read. Never rejects. */
  readonly mainExited: Promise<void>;
  /** Resolves when the command has exited, its remaining children are killed, and its output is read. Never rejects. */
  readonly exited: Promise<{ exitCode: number }>;
  /** Undefined unless `stdin` was given. */
  readonly input: ProcessInput | undefined;
  /**
   * Sends a signal; does nothing after the exit.
   * @returns false when this machine's Deno cannot send that signal
   */
  signal(number: number): boolean;
  /**
   * Sets the size of the terminal, if there is one. Never rejects.
   * @returns false when the size could not be set
   */
  resize(size: ConsoleSize): Promise<boolean>;
}

/** The writing end of a process's standard input. Bytes that the process no longer reads are dropped. */
export class ProcessInput {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #ended = false;

  constructor(stream: WritableStream<Uint8Array>) {
    this.#writer = stream.getWriter();
    this.#writer.closed.catch(() => {}); // The next write reports it.
  }

  /**
   * Resolves when the pipe has taken the bytes. A process that does not read blocks its writer.
   * @returns false once the process has closed its input
   */
  async write(bytes: Uint8Array): Promise<boolean> {
    if (this.#ended) return false;
    try {
      await this.#writer.write(bytes);
      return true;
    } catch {
      // Whatever the pipe's error is (EPIPE, or that it was closed in between): the process no longer reads.
      this.#ended = true;
      return false;
    }
  }

  /** Ends the input after the bytes written so far: the process reads the end of the file. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    try {
      await this.#writer.close();
    } catch {
      // The process has closed its side first, which has the same effect.
    }
  }
}

export interface PumpOptions {
  /** Awaited before the next chunk is read. */
  readonly write: (chunk: Uint8Array) => Promise<void> | void;
  /** Drops the rest of the output. */
  readonly abort: AbortSignal;
}

/** Passes a process's output on, chunk by chunk. Resolves at the end of the stream, or when `abort` has aborted. */
export async function pump(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { write, abort }: PumpOptions,
): Promise<void> {
  let cancelled: Promise<void> | undefined;
  const cancel = () => cancelled = reader.cancel();
  abort.addEventListener("abort", cancel, { once: true });
  if (abort.aborted) cancel();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    await write(value);
  }
  await cancelled;
}

/** After the exit of a process: waits until its output has been read, but aborts `cut` after half a second. */
export async function drained(outputs: Promise<unknown>, cut: AbortController): Promise<void> {
  if (!await settlesWithin(outputs, { timeoutMs: DRAIN_TIMEOUT_MS })) cut.abort();
  await outputs;
}
