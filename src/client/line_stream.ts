/**
 * The client's side of an operation whose reply line further lines follow. Owns its connection; disposing it, or aborting
 * the signal, ends a read that waits.
 */
import type { LineOp } from "../protocol/control.ts";
import { MAX_REPLY_BYTES } from "../protocol/jsonl.ts";
import { type ControlParamsOf, openExchange, type OpenStreamOptions } from "./control_exchange.ts";
import { LineChunks } from "./line_chunks.ts";

/**
 * Asks for the operation.
 *
 * @throws {ApexError} the daemon's own error; `no_daemon`; `timeout`; `protocol` when the peer is no apex daemon. The
 * signal's reason when that is aborted.
 */
export async function openLines<Op extends LineOp>(
  socketPath: string,
  op: Op,
  params: ControlParamsOf<Op>,
  options: OpenStreamOptions = {},
): Promise<LineStream> {
  const { conn, answer: { rest }, close } = await openExchange(socketPath, { op, params }, options);
  // A snapshot is as long as a list.
  const chunks = new LineChunks(conn, { socketPath, maxLineBytes: MAX_REPLY_BYTES, rest });
  return new LineStream({ chunks, close, signal: options.signal });
}

interface LineStreamParts {
  readonly chunks: LineChunks;
  readonly close: () => void;
  readonly signal: AbortSignal | undefined;
}

export class LineStream implements Disposable {
  readonly #parts: LineStreamParts;
  #isDisposed = false;

  /** Made by {@linkcode openLines}. */
  constructor(parts: LineStreamParts) {
    this.#parts = parts;
  }

  /**
   * One or more whole lines, good until the next call; null at the end, which may have been too early: the last record says
   * whether it was not.
   *
   * @throws {ApexError} `protocol` for a line that is too long; the signal's reason when that is aborted.
   */
  async next(): Promise<Uint8Array | null> {
    const { chunks, signal } = this.#parts;
    try {
      const lines = await chunks.next();
      signal?.throwIfAborted();
      return lines;
    } catch (error) {
      signal?.throwIfAborted();
      if (this.#isDisposed) return null;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#parts.close();
  }
}
