/**
 * What a session's terminal shows, kept while nobody looks: a headless emulator that is fed with the container's output.
 * It owns the emulator and a queue of what is not parsed yet. Parsing is the dear part, so it happens in slices, a turn of
 * the event loop between them, after whatever the same bytes were passed on to; who feeds faster than it parses looks
 * at `pendingBytes`. Everything takes effect in the order of the calls.
 */
/// <reference types="./xterm.d.ts" />
import type { Terminal } from "@xterm/headless";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { type Logger, silentLogger } from "../../platform/logger.ts";
import type { RestoreMode } from "../../protocol/restore_mode.ts";
import { openEmulator } from "./emulator.ts";
import { ParseQueue } from "./parse_queue.ts";
import { repaint } from "./repaint.ts";
import { type TerminalSize, terminalSize } from "./terminal_size.ts";

export interface TerminalScreenOptions {
  readonly columns: number;
  readonly rows: number;
  /** How many lines that have scrolled off the screen are kept. */
  readonly scrollbackLines: number;
  readonly logger?: Logger;
}

/** Nobody waits for what came just now, and after so long it is often more: a timer for each key would be dear. */
const REST_MS = 10;
/** Parsed in one turn of the event loop: 1.5 to 4 ms of work; much less, and the turns cost more than the work. */
const SLICE_BYTES = 64 * 1024;
/** Looked at the time after so many bytes: some sequences are a thousand times as dear as text. */
const STEP_BYTES = 512;
const SLICE_MS = 8;

/** One session's screen, with its modes and what has scrolled off. Its memory is bounded by size and scrollback. */
export class TerminalScreen implements Disposable {
  readonly #emulator: Terminal;
  readonly #logger: Logger;
  readonly #queue = new ParseQueue();
  /** Taken from the queue, and left over by the last step. */
  #unparsed: Uint8Array = new Uint8Array(0);
  #size: TerminalSize;
  #title = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What was written waits for more to come. */
  #isResting = false;
  #disposed = false;

  private constructor(emulator: Terminal, logger: Logger) {
    this.#emulator = emulator;
    this.#logger = logger;
    this.#size = { columns: emulator.cols, rows: emulator.rows };
    emulator.onTitleChange((title) => this.#title = title);
  }

  /** An empty screen. Imports the emulator when first called. The size is held to what a terminal can have. */
  static async open({ logger = silentLogger, ...options }: TerminalScreenOptions): Promise<TerminalScreen> {
    return new TerminalScreen(await openEmulator(options), logger);
  }

  /** As it will be when everything is parsed. */
  get columns(): number {
    return this.#size.columns;
  }

  get rows(): number {
    return this.#size.rows;
  }

  /** Bytes written that are not parsed yet. */
  get pendingBytes(): number {
    return this.#queue.pendingBytes + this.#unparsed.length;
  }

  /** Takes a copy of some output; it is parsed later. After disposal it does nothing. */
  write(bytes: Uint8Array): void {
    if (this.#disposed || bytes.length === 0) return;
    this.#queue.push(bytes);
    this.#schedule(REST_MS);
  }

  /** Changes the size, after what was written before the call. */
  resize(columns: number, rows: number): void {
    if (this.#disposed) return;
    const size = this.#size = terminalSize({ columns, rows });
    this.#inOrder(() => this.#guarded(() => this.#emulator.resize(size.columns, size.rows)));
  }

  /** Resolves when all that was written before the call is parsed, or will never be, as the screen is disposed. */
  settled(): Promise<void> {
    return new Promise((resolve) => this.#inOrder(resolve));
  }

  /**
   * The bytes that make a terminal of this size look and behave as this one does after exactly what was written before the
   * call. Whoever then sends what was written after the call has missed nothing and repeats nothing.
   * @throws {ApexError} `conflict` when the screen is disposed before that
   */
  async repaint(mode: RestoreMode): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#inOrder(() => {
      try {
        resolve(this.#paint(mode));
      } catch (error) {
        reject(error);
      }
    });
    return new TextEncoder().encode(await promise);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#cancelTimer();
    this.#unparsed = new Uint8Array(0);
    for (let item = this.#queue.take(); item !== undefined; item = this.#queue.take()) {
      if (typeof item === "function") item();
    }
    this.#emulator.dispose();
  }

  get #isIdle(): boolean {
    return this.#queue.isEmpty && this.#unparsed.length === 0;
  }

  #paint(mode: RestoreMode): string {
    if (this.#disposed) {
      throw new ApexError("conflict", "cannot repaint the terminal: it was closed meanwhile");
    }
    return repaint(this.#emulator, { mode, title: this.#title });
  }

  /** Does it when all that was written so far is parsed; at once when that is so already, or after disposal. */
  #inOrder(call: () => void): void {
    if (this.#disposed || this.#isIdle) return call();
    this.#queue.pushCall(call);
    // Somebody waits for it. A timer that is due next is left: reset with every call, it would never come.
    if (this.#isResting) this.#cancelTimer();
    this.#schedule(0);
  }

  #schedule(delayMs: number): void {
    // Not `setImmediate`: with its slices back to back, connections would wait.
    if (this.#timer !== undefined) return;
    this.#isResting = delayMs > 0;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#parseSlice();
      if (!this.#disposed && !this.#isIdle) this.#schedule(0);
    }, delayMs);
  }

  #cancelTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #parseSlice(): void {
    const endMs = performance.now() + SLICE_MS;
    for (let bytesLeft = SLICE_BYTES; bytesLeft > 0 && performance.now() < endMs;) {
      if (this.#unparsed.length === 0) {
        const item = this.#queue.take();
        if (item === undefined) return;
        if (typeof item === "function") {
          item();
          continue;
        }
        this.#unparsed = item;
      }
      const step = this.#unparsed.subarray(0, STEP_BYTES);
      this.#unparsed = this.#unparsed.subarray(step.length);
      bytesLeft -= step.length;
      this.#guarded(() => this.#emulator._core._inputHandler.parse(step));
    }
  }

  /** A fault of the emulator must not end the daemon: the screen is cleared, and shows what comes from now on. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#logger.warn(
        `output of a session upset the terminal emulator, its screen is cleared: ${messageOf(error)}`,
      );
      this.#emulator.reset();
    }
  }
}
