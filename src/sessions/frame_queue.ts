import { concat } from "@std/bytes/concat";

/** A batch of small frames is no longer than this. */
const MAX_BATCH_BYTES = 64 * 1024;
/** The memory that a frame takes in addition to its bytes: thousands of one-byte frames are thousands of objects. */
const FRAME_OVERHEAD_BYTES = 64;

/**
 * Frames to be sent to one client, in order. A frame that is pushed while nothing is being sent is sent at once, in the same
 * turn of the event loop. Frames that are pushed while others are being sent are combined into batches. The queue itself has
 * no limit: its owner watches {@linkcode bytes}.
 */
export class FrameQueue {
  #frames: Uint8Array[] = [];
  #bytes = 0;
  #isClosed = false;
  #isSending = false;
  #send: ((bytes: Uint8Array) => Promise<void>) | undefined;
  readonly #finished = Promise.withResolvers<void>();
  readonly #onSent: () => void;

  /** @param onSent called after each batch that was sent */
  constructor(onSent: () => void) {
    this.#onSent = onSent;
  }

  /** The memory that unsent frames take, including those that are being sent. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Queues a frame, whose bytes must not change until it is sent. Does nothing after {@linkcode close}. */
  push(frame: Uint8Array): void {
    if (this.#isClosed) return;
    this.#frames.push(frame);
    this.#bytes += costOf(frame);
    this.#sendNext();
  }

  /** Drops all frames that are not being sent yet. */
  clear(): void {
    for (const frame of this.#frames.splice(0)) this.#bytes -= costOf(frame);
  }

  /** Accepts no more frames. Those in the queue are still sent. */
  close(): void {
    this.#isClosed = true;
    this.#sendNext();
  }

  /** Sends frames until the queue is closed and empty. Must be called only once. @throws what `send` rejects with */
  async pump(send: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    this.#send = send;
    this.#sendNext();
    await this.#finished.promise;
  }

  #sendNext(): void {
    if (this.#send === undefined || this.#isSending) return;
    const batch = this.#takeBatch();
    if (batch === undefined) {
      if (this.#isClosed) this.#finished.resolve();
      return;
    }
    this.#isSending = true;
    this.#send(batch.bytes).then(() => {
      this.#isSending = false;
      this.#bytes -= batch.cost;
      this.#onSent();
      this.#sendNext();
      // After a failure nothing more is sent.
    }).catch((error: unknown) => this.#finished.reject(error));
  }

  /** Takes whole frames. Small ones are joined, so a flood of them costs few writes. */
  #takeBatch(): { readonly bytes: Uint8Array; readonly cost: number } | undefined {
    let count = 0;
    let length = 0;
    for (const frame of this.#frames) {
      if (count > 0 && length + frame.length > MAX_BATCH_BYTES) break;
      length += frame.length;
      count++;
    }
    const [first, ...more] = this.#frames.splice(0, count);
    if (first === undefined) return undefined;
    const bytes = more.length === 0 ? first : concat([first, ...more]);
    return { bytes, cost: length + count * FRAME_OVERHEAD_BYTES };
  }
}

function costOf(frame: Uint8Array): number {
  return frame.length + FRAME_OVERHEAD_BYTES;
}
