import { messageOf } from "../platform/apex_error.ts";
import { abortableWait } from "../platform/async/abortable_wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { ContainerTerminals } from "./container_terminals.ts";
import type { TerminalSize } from "./screen/terminal_size.ts";

export interface TerminalResizerOptions {
  readonly containerId: string;
  readonly terminals: Pick<ContainerTerminals, "resize">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** No more after that. */
  readonly signal: AbortSignal;
}

/** Programs look at the size some time after they were told that it has changed. */
const REDRAW_PAUSE_MS = 50;
/** Right after a container's start some engines refuse for a moment. */
const RETRY_MS = 50;
const MAX_TRIES = 5;

/** Tells the engine the size of a terminal: one request at a time, and of many sizes in a row only the last. */
export class TerminalResizer {
  readonly #options: TerminalResizerOptions;
  /** One after the other; the last one is to stay. */
  #wanted: TerminalSize[] = [];
  #resizing: Promise<void> | undefined;

  constructor(options: TerminalResizerOptions) {
    this.#options = options;
  }

  resize(size: TerminalSize): void {
    this.#want([size]);
  }

  /** Has the program draw its screen anew, by another size for a moment. */
  redraw(size: TerminalSize): void {
    this.#want([{ ...size, rows: size.rows > 1 ? size.rows - 1 : size.rows + 1 }, size]);
  }

  /** Resolves when nothing is under way. */
  get settled(): Promise<void> {
    return this.#resizing ?? Promise.resolve();
  }

  #want(sizes: TerminalSize[]): void {
    this.#wanted = sizes;
    this.#resizing ??= this.#resizeAll().finally(() => this.#resizing = undefined);
  }

  async #resizeAll(): Promise<void> {
    const { containerId, terminals, clock, logger, signal } = this.#options;
    let tries = 0;
    for (let [size] = this.#wanted; size !== undefined && !signal.aborted; [size] = this.#wanted) {
      try {
        await terminals.resize(containerId, { ...size, signal });
      } catch (error) {
        if (signal.aborted) return;
        if (++tries < MAX_TRIES) {
          // Rejects when there is to be no more, as below.
          await abortableWait(RETRY_MS, { clock, signal }).catch(() => {});
          continue;
        }
        logger.debug(`cannot resize the terminal of container ${containerId}: ${messageOf(error)}`);
      }
      tries = 0;
      if (this.#wanted[0] !== size) continue;
      this.#wanted.shift();
      if (this.#wanted.length > 0) await abortableWait(REDRAW_PAUSE_MS, { clock, signal }).catch(() => {});
    }
  }
}
