/**
 * Frames on their way to one client, in order, and how far that client is behind. The first goes at once, in the turn in
 * which it is pushed; what comes while one is being sent goes together.
 */
export class FrameQueue {
  #frames: Uint8Array[] = [];
  #bytes = 0;
  #isClosed = false;
  #isSending = false;
  #send: ((bytes: Uint8Array) => Promise<void>) | undefined;
  readonly #finished = Promise.withResolvers<void>();
  readonly #onTaken: () => void;

  /** @param onTaken called whenever the client has taken some */
  constructor(onTaken: () => void) {
    this.#onTaken = onTaken;
  }

  /** Memory of what is not yet taken, what is being sent included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Does nothing after {@linkcode close}. The frame is kept until it is sent: it must not change. */
  push(frame: Uint8Array): void {
    if (this.#isClosed) return;
    this.#frames.push(frame);
    this.#bytes += costOf(frame);
    this.#sendNext();
  }

  /** Forgets what is not being sent already. */
  clear(): void {
    for (const frame of this.#frames.splice(0)) this.#bytes -= costOf(frame);
  }

  /** Takes no more frames; what is in it is still sent. */
  close(): void {
    this.#isClosed = true;
    this.#sendNext();
  }

  /** Sends frames until the queue is closed and empty. To be called once. @throws what `send` throws */
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
      this.#onTaken();
      this.#sendNext();
      // After a failure nothing more is sent.
    }).catch((error: unknown) => this.#finished.reject(error));
  }

  /** Whole frames, several small ones in one piece: a flood of them costs one write. */
  #takeBatch(): { readonly bytes: Uint8Array; readonly cost: number } | undefined {
    let count = 0;
    let length = 0;
    let cost = 0;
    for (const frame of this.#frames) {
      if (count > 0 && length + frame.length > MAX_BATCH_BYTES) break;
      length += frame.length;
      cost += costOf(frame);
      count++;
    }
    const frames = this.#frames.splice(0, count);
    if (frames.length <= 1) return frames[0] && { bytes: frames[0], cost };
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const frame of frames) {
      bytes.set(frame, at);
      at += frame.length;
    }
    return { bytes, cost };
  }
}

const MAX_BATCH_BYTES = 64 * 1024;

/** What a frame takes in memory beside its bytes: of a byte each, thousands would be as many objects. */
const FRAME_OVERHEAD_BYTES = 64;

function costOf(frame: Uint8Array): number {
  return frame.length + FRAME_OVERHEAD_BYTES;
}
