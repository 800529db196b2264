/**
 * The client's side of an operation with frames. A stream owns its connection; disposing the stream, or aborting its signal,
 * ends a pending read.
 */
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { SerialQueue } from "../platform/async/semaphore.ts";
import { writeAll } from "../platform/unix_socket.ts";
import { type Frame, FrameReader } from "../protocol/frames.ts";
import type { ControlResultOf, FrameOp } from "../protocol/operations.ts";
import type { ConnectOptions } from "./connect.ts";
import {
  type ControlParamsOf,
  type OpenExchange,
  openExchange,
  type RequestOptions,
} from "./control_exchange.ts";

/**
 * Starts an operation with frames.
 *
 * @throws as `request()` does
 */
export async function openStream<Op extends FrameOp>(
  socketPath: string,
  op: Op,
  params: ControlParamsOf<Op>,
  options: RequestOptions = {},
): Promise<ControlStream<Op>> {
  return new ControlStream(await openExchange(socketPath, { op, params }, options), {
    ...options,
    socketPath,
  });
}

/** One stream of frames, which can be read once: frame by frame, or in a loop. Made by {@linkcode openStream}. */
export class ControlStream<Op extends FrameOp> implements Disposable {
  /** The result in the reply line. */
  readonly result: ControlResultOf<Op>;
  readonly #opened: OpenExchange<ControlResultOf<Op>>;
  readonly #options: ConnectOptions & { readonly socketPath: string };
  readonly #reader: FrameReader;
  readonly #sends = new SerialQueue();
  #isDisposed = false;

  constructor(
    opened: OpenExchange<ControlResultOf<Op>>,
    options: ConnectOptions & { readonly socketPath: string },
  ) {
    this.result = opened.result;
    this.#opened = opened;
    this.#options = options;
    this.#reader = new FrameReader(opened.conn, opened.rest);
  }

  /**
   * All frames, until the connection ends. Only the operation's last frame proves that the stream is complete. The payload of a
   * frame is valid until the next frame is requested.
   *
   * @throws as {@linkcode next} does
   */
  get frames(): AsyncIterable<Frame> {
    return this.#read();
  }

  /**
   * The next frame, or null at the end of the connection. Its payload is valid until the next frame is requested.
   *
   * @throws {ApexError} `protocol` for an invalid frame
   * @throws the reason of `abort` when it is aborted
   */
  async next(): Promise<Frame | null> {
    const { abort, socketPath } = this.#options;
    try {
      const frame = await this.#reader.next();
      abort?.throwIfAborted();
      return frame;
    } catch (error) {
      abort?.throwIfAborted();
      // The daemon was killed while it had unread bytes of ours, or this stream was disposed.
      if (error instanceof Deno.errors.ConnectionReset || this.#isDisposed) return null;
      throw new ApexError("protocol", `invalid data from ${socketPath}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** Writes a frame after those sent earlier. Resolves when the socket has taken it; with false if the connection is lost. */
  send(frame: Uint8Array): Promise<boolean> {
    return this.#sends.run(() => this.#write(frame));
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#opened.close();
  }

  async *#read(): AsyncGenerator<Frame> {
    for (let frame = await this.next(); frame !== null; frame = await this.next()) yield frame;
  }

  async #write(frame: Uint8Array): Promise<boolean> {
    try {
      await writeAll(this.#opened.conn, frame);
      return true;
    } catch (error) {
      if (!isConnectionLoss(error) && !this.#isDisposed) throw error;
      return false;
    }
  }
}

function isConnectionLoss(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset;
}
