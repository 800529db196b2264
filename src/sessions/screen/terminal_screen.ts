/**
 * The screen of a session's terminal, kept up to date while no client is attached. It owns a headless emulator, which is
 * opened in the background, and a queue of output that is not parsed yet. All calls take effect in their order.
 *
 * Parsing is slow, so it runs in slices, with a turn of the event loop in between. Writing never waits for it: when the
 * screen is too far behind, it drops what it has and starts over with a note that some output is not shown.
 */
/// <reference types="./xterm.d.ts" />
import type { Terminal } from "@xterm/headless";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { type Logger, silentLogger } from "../../platform/logger.ts";
import type { RestoreMode } from "../../protocol/session_operations.ts";
import { type EmulatorOptions, openEmulator } from "./emulator.ts";
import { ParseQueue } from "./parse_queue.ts";
import { repaint } from "./repaint.ts";
import { type TerminalSize, terminalSize } from "./terminal_size.ts";

export interface TerminalScreenOptions extends EmulatorOptions {
  readonly logger?: Logger;
}

/** Output that just arrived is parsed after this time: often more follows, and a timer per keystroke would be expensive. */
const REST_MS = 10;
/** Parsed per turn of the event loop, in 1.5 to 4 ms. With much smaller slices the turns would cost more than the parsing. */
const SLICE_BYTES = 64 * 1024;
/** The time limit of a slice is checked after each step: some sequences take a thousand times as long as text. */
const STEP_BYTES = 512;
const SLICE_MS = 8;
/** With more unparsed output the screen starts over. */
const MAX_BEHIND_BYTES = 4 * 1024 * 1024;

const SKIPPED = new TextEncoder().encode("\x1b[2m[apex: some output is not shown here]\x1b[0m\r\n");

/** The screen of one terminal, with its modes and scrollback. Its memory is bounded by its size and the scrollback. */
export class TerminalScreen implements Disposable {
  readonly #scrollbackLines: number;
  readonly #logger: Logger;
  readonly #queue = new ParseQueue();
  /** Undefined while it is being opened, and when that has failed. */
  #emulator: Terminal | undefined;
  #isOpening = false;
  /** The rest of the block that was taken from the queue last. */
  #unparsed: Uint8Array = new Uint8Array(0);
  #size: TerminalSize;
  #title = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The timer waits for more output. */
  #isResting = false;
  #isDisposed = false;

  constructor({ columns, rows, scrollbackLines, logger = silentLogger }: TerminalScreenOptions) {
    this.#size = terminalSize({ columns, rows });
    this.#scrollbackLines = scrollbackLines;
    this.#logger = logger;
    void this.#open();
  }

  /** The size after all output is parsed, clamped to the supported range. */
  get size(): TerminalSize {
    return this.#size;
  }

  /** How many bytes of output are not parsed yet. */
  get pendingBytes(): number {
    return this.#queue.pendingBytes + this.#unparsed.length;
  }

  /** Adds a copy of some output, which is parsed later. Does nothing after disposal. */
  write(output: Uint8Array): void {
    if (this.#isClosed || output.length === 0) return;
    this.#queue.push(output);
    if (this.pendingBytes > MAX_BEHIND_BYTES) {
      this.#logger.debug("a session prints faster than its screen can parse; the screen starts over");
      this.restart();
    } else {
      this.#schedule(REST_MS);
    }
  }

  /** Changes the size, after the output that was written before the call. */
  resize(size: TerminalSize): void {
    const { columns, rows } = this.#size = terminalSize(size);
    this.#inOrder(() => this.#guarded((emulator) => emulator.resize(columns, rows)));
  }

  /** Drops the contents of the screen, and starts over with `output`, or, if that is unknown, with a note. */
  restart(output: Uint8Array = SKIPPED): void {
    if (this.#isDisposed) return;
    this.#close();
    this.#queue.push(output);
    if (!this.#isOpening) void this.#open();
  }

  /** Resolves when everything that was written before the call is parsed, or was dropped. */
  settled(): Promise<void> {
    return new Promise((resolve) => this.#inOrder(resolve));
  }

  /**
   * Returns the bytes that bring another terminal of this size into the state of this one after exactly the output that was
   * written before the call. A client that gets these bytes, and then the output that was written after the call, misses
   * nothing and gets nothing twice. If that state was dropped, the bytes are a note that says so.
   * @throws {ApexError} `conflict` when the screen is disposed before that
   */
  repaint(mode: RestoreMode): Promise<Uint8Array> {
    return new Promise((resolve, reject) =>
      this.#inOrder(() => {
        try {
          resolve(this.#paint(mode));
        } catch (error) {
          reject(error);
        }
      })
    );
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#close();
  }

  get #isIdle(): boolean {
    return this.#queue.isEmpty && this.#unparsed.length === 0;
  }

  /** There is no emulator, and none is being opened. */
  get #isClosed(): boolean {
    return this.#isDisposed || (this.#emulator === undefined && !this.#isOpening);
  }

  /** Never rejects. */
  async #open(): Promise<void> {
    this.#isOpening = true;
    try {
      const emulator = await openEmulator({ ...this.#size, scrollbackLines: this.#scrollbackLines });
      if (this.#isDisposed) return emulator.dispose();
      this.#emulator = emulator;
    } catch (error) {
      this.#logger.error(`a session continues without a screen to restore: ${messageOf(error)}`);
      return this.#close();
    } finally {
      this.#isOpening = false;
    }
    this.#emulator.onTitleChange((title) => this.#title = title);
    // The size may have changed while the emulator was being opened.
    this.#emulator.resize(this.#size.columns, this.#size.rows);
    if (!this.#isIdle) this.#schedule(0);
  }

  /** Closes the emulator, drops unparsed output, and makes the queued calls, which then find no emulator. */
  #close(): void {
    this.#cancelTimer();
    this.#emulator?.dispose();
    this.#emulator = undefined;
    this.#title = "";
    this.#unparsed = new Uint8Array(0);
    for (let item = this.#queue.take(); item !== undefined; item = this.#queue.take()) {
      if (typeof item === "function") item();
    }
  }

  #paint(mode: RestoreMode): Uint8Array {
    if (this.#isDisposed) throw new ApexError("conflict", "cannot repaint the terminal: it was closed");
    if (this.#emulator === undefined) return SKIPPED;
    return new TextEncoder().encode(repaint(this.#emulator, { mode, title: this.#title }));
  }

  /** Makes the call when everything that was written so far is parsed: immediately, if that is so already. */
  #inOrder(call: () => void): void {
    if (this.#isClosed || (this.#emulator !== undefined && this.#isIdle)) return call();
    this.#queue.pushCall(call);
    // A caller waits, so there is no rest. A timer without rest stays: if each call reset it, it might never fire.
    if (this.#isResting) this.#cancelTimer();
    this.#schedule(0);
  }

  #schedule(delayMs: number): void {
    if (this.#emulator === undefined || this.#timer !== undefined) return;
    this.#isResting = delayMs > 0;
    // Not `setImmediate`: it would run the slices back to back, and connections would have to wait.
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#parseSlice();
      if (!this.#isIdle) this.#schedule(0);
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
      this.#guarded((emulator) => void emulator._core._inputHandler.parse(step));
    }
  }

  /** A fault of the emulator must not end the daemon: it clears the screen, which then shows the output that follows. */
  #guarded(work: (emulator: Terminal) => void): void {
    if (this.#emulator === undefined) return;
    try {
      work(this.#emulator);
    } catch (error) {
      this.#logger.warn(
        `the terminal emulator failed, and a session's screen was cleared: ${messageOf(error)}`,
      );
      this.#emulator.reset();
    }
  }
}
