import type { AttachConnection } from "../engine/attach_connection.ts";
import { EngineError } from "../engine/http/engine_error.ts";

/** The connection carries only input. The other direction is read to notice its end. */
const READ_BYTES = 512;

/**
 * A task's standard input, from directly before its start to its end. Bytes that the command no longer reads are dropped,
 * like those of a pipe when SIGPIPE is ignored.
 */
export class TaskInput {
  readonly #connection: AttachConnection;
  #isClosed = false;

  constructor(connection: AttachConnection) {
    this.#connection = connection;
  }

  /** Resolves when the engine has taken the bytes, perhaps as late as the command reads them. Resolves at once when closed. */
  async write(bytes: Uint8Array): Promise<void> {
    await this.#unlessClosed(() => this.#connection.write(bytes));
  }

  /** Ends standard input after the bytes that were written. Idempotent. */
  async end(): Promise<void> {
    await this.#unlessClosed(() => this.#connection.closeWrite());
    this.#isClosed = true;
  }

  /** Keeps the connection until the container has ended, or `abort` aborts, and then closes it. */
  async serve(abort: AbortSignal): Promise<void> {
    using connection = this.#connection;
    const close = (): void => connection[Symbol.dispose]();
    abort.addEventListener("abort", close);
    if (abort.aborted) close();
    try {
      const buffer = new Uint8Array(READ_BYTES);
      while (await connection.read(buffer) !== null);
    } catch (error) {
      // The engine broke the connection. Its events say what happens to the task.
      if (!(error instanceof EngineError)) throw error;
    } finally {
      this.#isClosed = true;
      abort.removeEventListener("abort", close);
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
