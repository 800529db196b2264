/**
 * A connection to a container's standard streams. `fetch` cannot take a connection over, so the request is written by
 * hand: after the head of the reply (101, or 200 from older engines), the connection carries output one way and input
 * the other. With a terminal, the bytes are as the program wrote them. Without one, they are in the frames of
 * `log_frames.ts`, which the caller decodes.
 */
import { messageOf } from "../platform/apex_error.ts";
import { closeQuietly, writeAll } from "../platform/unix_socket.ts";
import { EngineError } from "./http/engine_error.ts";
import { type RawRequest, sendRawRequest } from "./http/raw_request.ts";

/** The connection stays open until it is disposed. */
export interface AttachOptions extends Omit<RawRequest, "method" | "target" | "headers"> {
  /** The negotiated version, for example `1.41`: from `EngineClient.identify()`. */
  readonly apiVersion: string;
  /** The container's name or id. */
  readonly id: string;
  /** Whether the connection also carries the container's standard input. */
  readonly stdin: boolean;
  /** Whether the connection carries output; default true. Without output, the caller need not read. */
  readonly output?: boolean;
}

/** Disposal closes the connection and ends pending reads and writes. */
export interface AttachConnection extends Disposable {
  /**
   * Reads into `buffer` and returns the number of bytes; null at the end (the container or the engine has exited) and
   * after disposal. Never stop reading: a container whose output is not read blocks.
   * @throws {EngineError} when the connection breaks
   */
  read(buffer: Uint8Array): Promise<number | null>;
  /**
   * Writes all of `bytes`; one call at a time. It blocks as long as the program does not read its input.
   * @throws {EngineError} when the container no longer accepts input, or the connection is disposed
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes the container's standard input. @throws {EngineError} */
  closeWrite(): Promise<void>;
}

/**
 * The detach sequence that the engine itself looks for. It cannot be disabled: an empty one selects the engine's
 * default (Ctrl-P Ctrl-Q). These bytes occur in no UTF-8, so they are never typed or pasted.
 */
const UNTYPABLE_DETACH_KEYS = "%FF,%FE,%FF,%FE";

/**
 * Attaches to a container, without its earlier output.
 * @throws {EngineError} `not_found`, `conflict`, `engine`, with the engine's message
 * @throws the reason of `abort` when it aborts
 */
export async function attachContainer(options: AttachOptions): Promise<AttachConnection> {
  const { apiVersion, id, stdin, output = true, ...request } = options;
  const target = `/v${apiVersion}/containers/${encodeURIComponent(id)}/attach` +
    `?stream=1&stdin=${flag(stdin)}&stdout=${flag(output)}&stderr=${
      flag(output)
    }&detachKeys=${UNTYPABLE_DETACH_KEYS}`;
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
  /** Output that arrived together with the head of the reply. */
  #rest: Uint8Array;
  /** Rejects the pending write: closing the connection does not end it in Deno 2.4. */
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

  /** Not a race with one promise for the whole connection: that promise would keep a reaction for every write. */
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
