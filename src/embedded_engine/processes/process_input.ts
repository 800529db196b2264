/** The writing end of a process's standard input. What the process does not take any more is dropped, without a word. */
export class ProcessInput {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #ended = false;

  constructor(stream: WritableStream<Uint8Array>) {
    this.#writer = stream.getWriter();
    this.#writer.closed.catch(() => {}); // That it has closed its input is told by the next write.
  }

  /**
   * Resolves when the process's pipe has taken it: a process that does not read holds its writer up.
   * @returns false once the process takes nothing any more
   */
  async write(bytes: Uint8Array): Promise<boolean> {
    if (this.#ended) return false;
    try {
      await this.#writer.write(bytes);
      return true;
    } catch {
      // Whatever the pipe's error is called (EPIPE, or that it was closed meanwhile): nobody reads there.
      this.#ended = true;
      return false;
    }
  }

  /** Ends it after what was written: the process reads the end of the file. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    try {
      await this.#writer.close();
    } catch {
      // The process was quicker, and has closed its side: it is ended all the same.
    }
  }
}
