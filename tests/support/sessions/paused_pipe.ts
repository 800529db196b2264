import type { Output } from "../../../src/cli/output/output.ts";

/** How many bytes a pipe takes all at once or not at all. */
const PIPE_BUF = Deno.build.os === "linux" ? 4096 : 512;

/** A pipe whose reader pauses: it takes so many bytes, and then waits until the reader goes on, or goes. */
export class PausedPipe implements Pick<Output, "relay"> {
  text = "";
  readonly #full = Promise.withResolvers<void>();
  readonly #more = Promise.withResolvers<void>();
  readonly #decoder = new TextDecoder();
  #room: number;

  constructor(room: number) {
    this.#room = room;
  }

  /** Resolves when a write waits. */
  get full(): Promise<void> {
    return this.#full.promise;
  }

  /** The reader goes on, and pauses no more. */
  read(): void {
    this.#room = Infinity;
    this.#more.resolve();
  }

  /** The reader goes: what waits fails. */
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
