/**
 * Output on its way to one client that took a connection over. A queue of its own, so that no client waits for another
 * and a process waits for a client only if it is meant to (`room`). Bounded: a client that lets more than `maxBytes`
 * pile up is lost, and so is one whose connection fails; what comes then is dropped.
 */
/** Above it, who waits for room waits: two pipes' worth. */
const HIGH_WATER_BYTES = 128 * 1024;
/** A program that prints as fast as it can fills it in a tenth of a second: long enough for a busy client. */
export const MAX_QUEUED_BYTES = 16 * 1024 * 1024;

export interface ClientOutputOptions {
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** Default {@linkcode MAX_QUEUED_BYTES}. */
  readonly maxBytes?: number;
}

export class ClientOutput {
  readonly #write: ClientOutputOptions["write"];
  readonly #maxBytes: number;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #writing: Promise<void> | undefined;
  #room = Promise.withResolvers<void>();
  readonly #lost = Promise.withResolvers<void>();
  #isLost = false;

  constructor({ write, maxBytes = MAX_QUEUED_BYTES }: ClientOutputOptions) {
    this.#write = write;
    this.#maxBytes = maxBytes;
  }

  /** Resolves when the client is lost: it went away, or it was too slow. */
  get lost(): Promise<void> {
    return this.#lost.promise;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  push(bytes: Uint8Array): void {
    if (this.#isLost || bytes.length === 0) return;
    if (this.#queuedBytes + bytes.length > this.#maxBytes) return this.#lose();
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#writing ??= this.#drain();
  }

  /** Little is queued, or nothing will be. */
  get hasRoom(): boolean {
    return this.#isLost || this.#queuedBytes <= HIGH_WATER_BYTES;
  }

  /** Resolves once there is room. */
  async room(): Promise<void> {
    while (!this.hasRoom) await this.#room.promise;
  }

  /** Resolves when all that was pushed is written, or the client is lost. */
  async flushed(): Promise<void> {
    while (this.#writing !== undefined && !this.#isLost) {
      await Promise.race([this.#writing, this.#lost.promise]);
    }
  }

  async #drain(): Promise<void> {
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        await this.#write(next);
        this.#queuedBytes -= next.length;
        this.#announceRoom();
      }
    } catch {
      this.#lose(); // However writing fails, nothing more can be written.
    } finally {
      this.#writing = undefined;
    }
  }

  #lose(): void {
    this.#isLost = true;
    this.#queue = [];
    this.#lost.resolve();
    this.#announceRoom();
  }

  #announceRoom(): void {
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }
}
