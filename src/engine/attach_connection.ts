/**
 * A connection to a container's terminal. `fetch` can't take a connection over, so the request is written by hand: after
 * the head of the engine's reply (101, or 200 from older ones) the connection carries the container's output one way and
 * its input the other. With a terminal the bytes are as the program wrote them; without one they are in the frames of
 * `log_frames.ts`, which stay the caller's to take apart.
 */
import { messageOf } from "../platform/apex_error.ts";
import { closeQuietly, writeAll } from "../platform/unix_socket.ts";
import { EngineError } from "./http/engine_error.ts";
import { type RawRequest, sendRawRequest } from "./http/raw_request.ts";

/** An open connection ends by its disposal. */
export interface AttachOptions extends Omit<RawRequest, "method" | "target" | "headers"> {
  /** As negotiated, `1.41`: from `EngineClient.identify()`. */
  readonly apiVersion: string;
  /** The container's name or id. */
  readonly id: string;
  /** Whether its standard input is taken too. */
  readonly stdin: boolean;
  /** Whether its output comes; default true. Without it nobody has to read. */
  readonly output?: boolean;
}

/** Disposal closes it; what was still being read or written ends with that. */
export interface AttachConnection extends Disposable {
  /**
   * Fills `buffer` from its start; how many bytes. Null at the end (the container has ended, or the engine), and once
   * disposed. An attached container whose output nobody reads stands still: never stop reading.
   * @throws {EngineError} when the connection breaks
   */
  read(buffer: Uint8Array): Promise<number | null>;
  /**
   * Writes all of it; one call at a time. It may take as long as the program takes no input.
   * @throws {EngineError} when the container does not listen any more, or the connection is disposed
   */
  write(bytes: Uint8Array): Promise<void>;
  /** The end of the container's standard input. @throws {EngineError} */
  closeWrite(): Promise<void>;
}

/**
 * The sequence on which the engine lets go by itself: none can be typed away, as an empty one means the engine's own
 * (Ctrl-P Ctrl-Q). These bytes occur in no UTF-8, so in nothing that is typed or pasted.
 */
const NEVER_TYPED = "%FF,%FE,%FF,%FE";

/**
 * Attaches to a container, from now on: no earlier output.
 * @throws {EngineError} `not_found`, `conflict`, `engine`, with the engine's own words
 * @throws the signal's reason when it aborts
 */
export async function attachContainer(options: AttachOptions): Promise<AttachConnection> {
  const { apiVersion, id, stdin, output = true, ...request } = options;
  const target = `/v${apiVersion}/containers/${encodeURIComponent(id)}/attach` +
    `?stream=1&stdin=${flag(stdin)}&stdout=${flag(output)}&stderr=${flag(output)}&detachKeys=${NEVER_TYPED}`;
  const headers = { Connection: "Upgrade", Upgrade: "tcp", "Content-Length": "0" };
  const { conn, head } = await sendRawRequest({ ...request, method: "POST", target, headers });
  return new UpgradedConnection(conn, head.rest);
}

function flag(value: boolean): string {
  return value ? "1" : "0";
}

const CLOSED = "it was closed";

class UpgradedConnection implements AttachConnection {
  readonly #conn: Deno.UnixConn;
  /** Output that came together with the reply's head. */
  #rest: Uint8Array;
  /** Rejects the write in flight: closing the connection does not end it in Deno 2.4. */
  #cutWrite: ((reason: Error) => void) | undefined;
  #isDisposed = false;

  constructor(conn: Deno.UnixConn, rest: Uint8Array) {
    this.#conn = conn;
    this.#rest = rest;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#isDisposed) return null;
    if (this.#rest.length > 0) {
      const count = Math.min(buffer.length, this.#rest.length);
      buffer.set(this.#rest.subarray(0, count));
      this.#rest = this.#rest.subarray(count);
      return count;
    }
    try {
      return await this.#conn.read(buffer);
    } catch (error) {
      if (this.#isDisposed) return null;
      throw new EngineError(`the connection to the container broke: ${messageOf(error)}`, { cause: error });
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#toContainer(() => this.#writeUnlessDisposed(bytes));
  }

  async closeWrite(): Promise<void> {
    await this.#toContainer(() => this.#conn.closeWrite());
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#cutWrite?.(new Error(CLOSED));
    closeQuietly(this.#conn);
  }

  /** No race with one promise for the whole connection: that would remember every key. */
  async #writeUnlessDisposed(bytes: Uint8Array): Promise<void> {
    if (this.#isDisposed) throw new Error(CLOSED);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#cutWrite = reject;
    writeAll(this.#conn, bytes).then(resolve, reject);
    try {
      await promise;
    } finally {
      this.#cutWrite = undefined;
    }
  }

  async #toContainer(send: () => Promise<void>): Promise<void> {
    try {
      await send();
    } catch (error) {
      throw new EngineError(`the container takes no input: ${messageOf(error)}`, { cause: error });
    }
  }
}
