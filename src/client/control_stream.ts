/**
 * The client's side of an operation that goes on after its reply: frames, until the last one that the operation has, or the
 * end of the connection. Owns its connection; disposing it, or aborting the signal, ends a read that waits.
 */
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { SerialQueue } from "../platform/async/serial_queue.ts";
import type { ControlResultOf, StreamOp } from "../protocol/control.ts";
import { type Frame, FrameReader } from "../protocol/frames.ts";
import { type ControlParamsOf, openExchange, type OpenStreamOptions } from "./control_exchange.ts";

export type { OpenStreamOptions };

/**
 * Asks for an operation that streams.
 *
 * @throws {ApexError} the daemon's own error; `no_daemon`; `timeout`; `protocol` when the peer is no apex daemon. The
 * signal's reason when that is aborted.
 */
export async function openStream<Op extends StreamOp>(
  socketPath: string,
  op: Op,
  params: ControlParamsOf<Op>,
  options: OpenStreamOptions = {},
): Promise<ControlStream<Op>> {
  const { conn, answer, close } = await openExchange(socketPath, { op, params }, options);
  const reader = new FrameReader(conn, answer.rest);
  return new ControlStream({
    conn,
    reader,
    result: answer.result,
    socketPath,
    signal: options.signal,
    close,
  });
}

interface ControlStreamParts<Op extends StreamOp> {
  readonly conn: Deno.Conn;
  readonly reader: FrameReader;
  readonly result: ControlResultOf<Op>;
  readonly socketPath: string;
  readonly signal: AbortSignal | undefined;
  readonly close: () => void;
}

/** One stream. Its frames can be read once, one by one or all in a loop. */
export class ControlStream<Op extends StreamOp> implements Disposable {
  /** What the reply line said. */
  readonly result: ControlResultOf<Op>;
  readonly #parts: ControlStreamParts<Op>;
  #isDisposed = false;
  readonly #sends = new SerialQueue();

  /** Made by {@linkcode openStream}. */
  constructor(parts: ControlStreamParts<Op>) {
    this.result = parts.result;
    this.#parts = parts;
  }

  /**
   * The frames as they come; each one's payload is good until the next is asked for. It ends with the connection: whether
   * that was the end which the operation promises, its last frame tells.
   *
   * @throws as {@linkcode next} does
   */
  get frames(): AsyncIterable<Frame> {
    return this.#read();
  }

  /**
   * The next frame; null at the connection's end. Its payload is good until the one after it is asked for.
   *
   * @throws {ApexError} `protocol` for what is no frame; the signal's reason when that is aborted.
   */
  async next(): Promise<Frame | null> {
    const { reader, signal, socketPath } = this.#parts;
    try {
      const frame = await reader.next();
      signal?.throwIfAborted();
      return frame;
    } catch (error) {
      signal?.throwIfAborted();
      // The daemon was killed with bytes of ours unread, or this stream was disposed of: nothing more comes.
      if (error instanceof Deno.errors.ConnectionReset || this.#isDisposed) return null;
      throw new ApexError("protocol", `invalid data from ${socketPath}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** Writes a frame after those sent before; resolves when the socket took it, or with false when the daemon is gone. */
  send(frame: Uint8Array): Promise<boolean> {
    return this.#sends.run(() => this.#write(frame));
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#parts.close();
  }

  async *#read(): AsyncGenerator<Frame> {
    while (true) {
      const frame = await this.next();
      if (frame === null) return;
      yield frame;
    }
  }

  async #write(frame: Uint8Array): Promise<boolean> {
    try {
      for (let sent = 0; sent < frame.length;) sent += await this.#parts.conn.write(frame.subarray(sent));
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
