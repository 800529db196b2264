import type { Output } from "../../src/cli/standard_streams.ts";

/** A write of at most this many bytes is atomic: the pipe takes all of it or nothing. */
const PIPE_BUF = Deno.build.os === "linux" ? 4096 : 512;

/** A pipe whose reader has paused: after `room` bytes, writes wait until the reader continues or closes the pipe. */
export class PausedPipe implements Pick<Output, "relay"> {
  text = "";
  readonly #full = Promise.withResolvers<void>();
  readonly #more = Promise.withResolvers<void>();
  readonly #decoder = new TextDecoder();
  #room: number;

  constructor(room: number) {
    this.#room = room;
  }

  /** Resolves when a write has to wait. */
  get full(): Promise<void> {
    return this.#full.promise;
  }

  /** The reader continues, and does not pause again. */
  read(): void {
    this.#room = Infinity;
    this.#more.resolve();
  }

  /** The reader closes the pipe, so the waiting write fails. */
  close(error: Error): void {
    this.#more.reject(error);
  }

  async relay(bytes: Uint8Array): Promise<void> {
    const fits = bytes.length <= this.#room;
    const taken = fits ? bytes.length : bytes.length <= PIPE_BUF ? 0 : this.#room;
    this.#take(bytes.subarray(0, taken));
    if (fits) return;
    this.#full.resolve();
    await this.#more.promise;
    this.#take(bytes.subarray(taken));
  }

  #take(bytes: Uint8Array): void {
    this.#room -= bytes.length;
    this.text += this.#decoder.decode(bytes, { stream: true });
  }
}
