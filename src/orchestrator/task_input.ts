import type { AttachConnection } from "../engine/attach_connection.ts";
import { EngineError } from "../engine/http/engine_error.ts";

/** What comes back on a connection that carries input only is nothing, until its end. */
const READ_BYTES = 512;

/**
 * The way to a task's standard input, from right before its start to its end. What the command does not take any more is
 * dropped, as a pipe would with SIGPIPE ignored.
 */
export class TaskInput {
  readonly #connection: AttachConnection;
  #isClosed = false;

  constructor(connection: AttachConnection) {
    this.#connection = connection;
  }

  /** Resolves when the engine took it, which may be as late as the command reads; or at once when nothing is taken any more. */
  async write(bytes: Uint8Array): Promise<void> {
    await this.#unlessClosed(() => this.#connection.write(bytes));
  }

  /** Ends the standard input, after what was written. May be called again. */
  async end(): Promise<void> {
    await this.#unlessClosed(() => this.#connection.closeWrite());
    this.#isClosed = true;
  }

  /** Holds the connection until the container has ended, or the signal aborts; then lets go of it. */
  async serve(over: AbortSignal): Promise<void> {
    using connection = this.#connection;
    const letGo = (): void => connection[Symbol.dispose]();
    over.addEventListener("abort", letGo);
    if (over.aborted) letGo();
    try {
      const buffer = new Uint8Array(READ_BYTES);
      while (await connection.read(buffer) !== null);
    } catch (error) {
      // The engine broke off: what becomes of the task, its events tell.
      if (!(error instanceof EngineError)) throw error;
    } finally {
      this.#isClosed = true;
      over.removeEventListener("abort", letGo);
    }
  }

  async #unlessClosed(work: () => Promise<void>): Promise<void> {
    if (this.#isClosed) return;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      this.#isClosed = true;
    }
  }
}
