import type { AttachConnection } from "../engine/attach_connection.ts";
import { messageOf } from "../platform/apex_error.ts";
import { delayUnlessAborted } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { ContainerTerminals } from "./container_terminals.ts";
import type { TerminalSize } from "./screen/terminal_size.ts";

/** Beyond this whoever types waits: a program that does not read its terminal leaves everything here. */
const FULL_BYTES = 256 * 1024;
/** What each piece takes in memory beside its bytes: keys come one by one. */
const PIECE_OVERHEAD_BYTES = 64;

/**
 * What clients type, on its way to a container. It outlives the client that typed it, and the engine's connection: without
 * one it waits for the next.
 */
export class TerminalInput {
  #typed: Uint8Array[] = [];
  #bytes = 0;
  #connection: AttachConnection | undefined;
  #writing: AttachConnection | undefined;
  #room: PromiseWithResolvers<void> | undefined;

  /** Writes to that connection from now on; undefined: there is none. */
  set connection(connection: AttachConnection | undefined) {
    this.#connection = connection;
    this.#pump();
  }

  /** Takes a copy; resolves when there is room for more. Never rejects. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#typed.push(bytes.slice());
    this.#bytes += bytes.length + PIECE_OVERHEAD_BYTES;
    this.#pump();
    if (this.#bytes > FULL_BYTES) await (this.#room ??= Promise.withResolvers()).promise;
  }

  /** Forgets what was typed and not written: nobody reads it any more. */
  discard(): void {
    this.#connection = undefined;
    this.#typed = [];
    this.#bytes = 0;
    this.#roomAgain();
  }

  #pump(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#writing === connection || this.#typed.length === 0) return;
    this.#writing = connection;
    // A write that fails tells what the connection's reader learns as well, who takes it away from here.
    void this.#writeAll(connection).catch(() => {});
  }

  /** What is typed after its last look begins the next: nothing is awaited between that look and the end. */
  async #writeAll(connection: AttachConnection): Promise<void> {
    try {
      for (let bytes = this.#typed[0]; bytes !== undefined; bytes = this.#typed[0]) {
        await connection.write(bytes);
        if (this.#connection !== connection) return;
        this.#typed.shift();
        this.#bytes -= bytes.length + PIECE_OVERHEAD_BYTES;
        if (this.#bytes <= FULL_BYTES) this.#roomAgain();
      }
    } finally {
      if (this.#writing === connection) this.#writing = undefined;
    }
  }

  #roomAgain(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

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
          await delayUnlessAborted(RETRY_MS, { clock, abort: signal });
          continue;
        }
        logger.debug(`cannot resize the terminal of container ${containerId}: ${messageOf(error)}`);
      }
      tries = 0;
      if (this.#wanted[0] !== size) continue;
      this.#wanted.shift();
      if (this.#wanted.length > 0) await delayUnlessAborted(REDRAW_PAUSE_MS, { clock, abort: signal });
    }
  }
}
