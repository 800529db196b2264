/**
 * The picture of a session's terminal, for clients that come back. It is fed what the container says and never holds that
 * up: when it is too far behind, it begins anew with what comes from then on, and says so in the picture.
 */
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { Logger } from "../../platform/logger.ts";
import type { RestoreMode } from "../../protocol/restore_mode.ts";
import { TerminalScreen } from "./terminal_screen.ts";
import type { TerminalSize } from "./terminal_size.ts";

export interface SessionScreenOptions {
  readonly size: TerminalSize;
  readonly scrollbackLines: number;
  readonly logger: Logger;
}

/** Beyond this the picture begins anew. */
const MAX_BEHIND_BYTES = 4 * 1024 * 1024;

const SKIPPED = new TextEncoder().encode("\x1b[2m[apex: some output is not shown here]\x1b[0m\r\n");

export class SessionScreen implements Disposable {
  readonly #scrollbackLines: number;
  readonly #logger: Logger;
  #size: TerminalSize;
  /** Undefined while it is being opened. */
  #screen: TerminalScreen | undefined;
  /** Settles when there is a screen, or can be none. */
  #opening: Promise<void>;
  /** Said while it is being opened. */
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #isDisposed = false;

  constructor({ size, scrollbackLines, logger }: SessionScreenOptions) {
    this.#size = size;
    this.#scrollbackLines = scrollbackLines;
    this.#logger = logger;
    this.#opening = this.#open();
  }

  /** Takes a copy. */
  write(output: Uint8Array): void {
    if (this.#isDisposed) return;
    if (this.#screen === undefined) return this.#keep(output.slice());
    this.#screen.write(output);
    if (this.#screen.pendingBytes > MAX_BEHIND_BYTES) {
      this.#logger.debug("a session's terminal says more than its screen can follow; the screen begins anew");
      this.restart(SKIPPED);
    }
  }

  resize(size: TerminalSize): void {
    this.#size = size;
    this.#screen?.resize(size.columns, size.rows);
  }

  /** Forgets the picture; begins anew with `output`, or, where that is not known, with a note. */
  restart(output: Uint8Array = SKIPPED): void {
    if (this.#isDisposed) return;
    this.#screen?.[Symbol.dispose]();
    this.#screen = undefined;
    this.#early = [];
    this.#earlyBytes = 0;
    this.#keep(output);
    this.#opening = this.#opening.then(() => this.#open());
  }

  /** What makes any terminal of its size look like this one, as it stands after what was written so far. */
  async repaint(mode: RestoreMode): Promise<Uint8Array> {
    await this.#opening;
    try {
      return await this.#screen?.repaint(mode) ?? SKIPPED;
    } catch (error) {
      // It began anew meanwhile, as far behind as it was.
      if (error instanceof ApexError) return SKIPPED;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#screen?.[Symbol.dispose]();
    this.#screen = undefined;
    this.#early = [];
  }

  async #open(): Promise<void> {
    if (this.#isDisposed || this.#screen !== undefined) return;
    let screen: TerminalScreen;
    try {
      screen = await TerminalScreen.open({
        ...this.#size,
        scrollbackLines: this.#scrollbackLines,
        logger: this.#logger,
      });
    } catch (error) {
      this.#logger.error(`a session goes on without a picture of its terminal: ${messageOf(error)}`);
      return;
    }
    if (this.#isDisposed) return screen[Symbol.dispose]();
    screen.resize(this.#size.columns, this.#size.rows);
    for (const output of this.#early.splice(0)) screen.write(output);
    this.#earlyBytes = 0;
    this.#screen = screen;
  }

  #keep(output: Uint8Array): void {
    this.#early.push(output);
    this.#earlyBytes += output.length;
    if (this.#earlyBytes <= MAX_BEHIND_BYTES) return;
    this.#early = [SKIPPED];
    this.#earlyBytes = SKIPPED.length;
  }
}
