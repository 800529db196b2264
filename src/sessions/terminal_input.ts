/**
 * What clients send to a session's container: keystrokes and terminal sizes. Both are passed on in the background. They
 * outlive the client that sent them.
 */
import type { AttachConnection } from "../engine/attach_connection.ts";
import { messageOf } from "../platform/apex_error.ts";
import { delayUnlessAborted } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { TerminalSize } from "./screen/terminal_size.ts";
import type { TerminalAccess } from "./session_services.ts";

/** With more unwritten input clients have to wait. It collects when a program does not read its terminal. */
const FULL_BYTES = 256 * 1024;
/** The memory that each piece takes in addition to its bytes: keystrokes arrive one by one. */
const PIECE_OVERHEAD_BYTES = 64;

/** Keystrokes on their way to a container. While the engine's connection is lost, they wait for the next one. */
export class TerminalInput {
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #connection: AttachConnection | undefined;
  #writing: AttachConnection | undefined;
  #room: PromiseWithResolvers<void> | undefined;

  /** The connection to write to; undefined while it is lost. */
  set connection(connection: AttachConnection | undefined) {
    this.#connection = connection;
    this.#pump();
  }

  /** Adds a copy of `bytes`. Resolves when there is room for more; never rejects. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#pieces.push(bytes.slice());
    this.#bytes += bytes.length + PIECE_OVERHEAD_BYTES;
    this.#pump();
    if (this.#bytes > FULL_BYTES) await (this.#room ??= Promise.withResolvers()).promise;
  }

  /** Drops all unwritten input: the container has ended, or the daemon ends. */
  discard(): void {
    this.#connection = undefined;
    this.#pieces = [];
    this.#bytes = 0;
    this.#makeRoom();
  }

  #pump(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#writing === connection || this.#pieces.length === 0) return;
    this.#writing = connection;
    // A failed write means that the connection is lost. Its reader notices that as well, and then resets `connection`.
    void this.#writeAll(connection).catch(() => {});
  }

  /** Nothing is awaited between its last look at the pieces and its end, so each later piece starts a new call. */
  async #writeAll(connection: AttachConnection): Promise<void> {
    try {
      for (let bytes = this.#pieces[0]; bytes !== undefined; bytes = this.#pieces[0]) {
        await connection.write(bytes);
        if (this.#connection !== connection) return;
        this.#pieces.shift();
        this.#bytes -= bytes.length + PIECE_OVERHEAD_BYTES;
        if (this.#bytes <= FULL_BYTES) this.#makeRoom();
      }
    } finally {
      if (this.#writing === connection) this.#writing = undefined;
    }
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

export interface TerminalResizerOptions {
  readonly containerId: string;
  readonly terminals: Pick<TerminalAccess, "resize">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly abort: AbortSignal;
}

/** Programs read the size some time after they were notified of a change. */
const REDRAW_PAUSE_MS = 50;
/** Some engines refuse a resize in the first moment after a container's start. */
const RETRY_MS = 50;
const MAX_ATTEMPTS = 5;

/** Sets the size of a container's terminal: one request at a time, and of several sizes in a row only the last. */
export class TerminalResizer {
  readonly #options: TerminalResizerOptions;
  /** To be set one after another. The last one is the size that remains. */
  #sizes: TerminalSize[] = [];
  #resizing: Promise<void> | undefined;

  constructor(options: TerminalResizerOptions) {
    this.#options = options;
  }

  resize(size: TerminalSize): void {
    this.#set([size]);
  }

  /** Makes the program redraw its screen, by setting another size for a moment. */
  redraw(size: TerminalSize): void {
    this.#set([{ ...size, rows: size.rows > 1 ? size.rows - 1 : size.rows + 1 }, size]);
  }

  /** Resolves when no request is pending. */
  get settled(): Promise<void> {
    return this.#resizing ?? Promise.resolve();
  }

  #set(sizes: TerminalSize[]): void {
    this.#sizes = sizes;
    this.#resizing ??= this.#resizeAll().finally(() => this.#resizing = undefined);
  }

  async #resizeAll(): Promise<void> {
    const { containerId, terminals, clock, logger, abort } = this.#options;
    let attempts = 0;
    for (let [size] = this.#sizes; size !== undefined && !abort.aborted; [size] = this.#sizes) {
      try {
        await terminals.resize(containerId, { ...size, abort });
      } catch (error) {
        if (abort.aborted) return;
        if (++attempts < MAX_ATTEMPTS) {
          await delayUnlessAborted(RETRY_MS, { clock, abort });
          continue;
        }
        logger.debug(`cannot resize the terminal of container ${containerId}: ${messageOf(error)}`);
      }
      attempts = 0;
      if (this.#sizes[0] !== size) continue;
      this.#sizes.shift();
      if (this.#sizes.length > 0) await delayUnlessAborted(REDRAW_PAUSE_MS, { clock, abort });
    }
  }
}
