import type { AttachConnection } from "../engine/attach_connection.ts";

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
