/**
 * What follows a reply line: one connection on which the daemon sends frames, and perhaps gets some. The server owns the
 * connection and its channel; an operation is lent the channel until it settles.
 *
 * Somebody always reads: the operation its frames, or else the channel, which discards what comes. So a hang-up is noticed
 * although the operation has nothing to send.
 */
import { SerialQueue } from "../../platform/async/serial_queue.ts";
import { writeAll } from "../../platform/unix_socket.ts";
import { type Frame, FrameReader } from "../../protocol/frames.ts";

/** One stream, as an operation sees it. */
export interface ControlChannel {
  /**
   * Aborted when the peer has hung up (closed its end of writing, too), or the daemon ends. Not for nonsense that it sent,
   * of which {@linkcode frames} tells, and the operation the peer.
   */
  readonly signal: AbortSignal;
  /**
   * Writes a frame (or several in one piece), after those sent before; resolves when the socket took all of it. Who awaits
   * each of its own has one in memory, and a peer that does not read holds up nobody else.
   *
   * @throws once the peer is gone or the daemon ends
   */
  send(frame: Uint8Array): Promise<void>;
  /**
   * Writes some of it, as much as the socket takes at once, after what was sent before; resolves with how much.
   *
   * @throws once the peer is gone or the daemon ends
   */
  write(bytes: Uint8Array): Promise<number>;
  /** Cuts the stream short, a write in flight included: for a peer that takes nothing. May be called again. */
  end(reason: Error): void;
  /**
   * What the peer sends, to its end. To be called once, before the operation's first `await`: what comes while nobody has
   * asked is discarded.
   *
   * @throws {FrameError} while iterating, for what is no frame: nothing more will come. Who lets it pass has the peer told
   * with a last frame `exit {error}`.
   */
  frames(): AsyncIterable<Frame>;
}

/** Why a stream ends when the daemon does: its client may well be back. */
export class DaemonEndingError extends Error {
  override readonly name = "DaemonEndingError";

  constructor() {
    super("the daemon is ending");
  }
}

export interface SocketChannelOptions {
  readonly conn: Deno.UnixConn;
  /** What came right behind the request line. */
  readonly rest: Uint8Array;
}

/** What a peer sends unasked is read into this many bytes, and forgotten. */
const DISCARD_BYTES = 512;

/** A {@linkcode ControlChannel} on a connection that stays its owner's to close. */
export class SocketChannel implements ControlChannel {
  readonly #conn: Deno.UnixConn;
  readonly #rest: Uint8Array;
  readonly #over = new AbortController();
  /** Rejects the write in flight, of which there is one at most: closing the connection does not end it in Deno 2.4. */
  #cutWrite: ((reason: Error) => void) | undefined;
  /** Nothing is sent any more. */
  #endReason: Error | undefined;
  readonly #sends = new SerialQueue();
  #lastRead: Promise<unknown> = Promise.resolve();
  #isRead = false;

  constructor({ conn, rest }: SocketChannelOptions) {
    this.#conn = conn;
    this.#rest = rest;
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Whether the operation has asked for what the peer sends. */
  get isRead(): boolean {
    return this.#isRead;
  }

  send(frame: Uint8Array): Promise<void> {
    return this.#sends.run(() => this.#unlessEnded(() => writeAll(this.#conn, frame)));
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#sends.run(() => this.#unlessEnded(() => this.#conn.write(bytes)));
  }

  frames(): AsyncIterable<Frame> {
    if (this.#isRead) throw new TypeError("Cannot read the frames of a channel twice");
    this.#isRead = true;
    return this.#readFrames();
  }

  /** Reads and forgets what the peer sends, until its end. Never rejects. */
  async discardInput(): Promise<void> {
    await this.#lastRead;
    const discarded = new Uint8Array(DISCARD_BYTES);
    while (await this.#read(discarded) !== null);
  }

  /** Tells the operation that its stream is over, and rejects what it is sending. May be called again. */
  end(reason: Error): void {
    this.#endReason ??= reason;
    this.#over.abort(reason);
    this.#cutWrite?.(reason);
  }

  async *#readFrames(): AsyncGenerator<Frame> {
    const reader = new FrameReader({ read: (buffer) => this.#read(buffer) }, this.#rest);
    for (let frame = await reader.next(); frame !== null; frame = await reader.next()) yield frame;
  }

  async #read(buffer: Uint8Array): Promise<number | null> {
    // Whatever a read fails with, the peer is gone or the connection is closed: nothing more will come.
    const reading = this.#conn.read(buffer).catch(() => null);
    this.#lastRead = reading;
    const count = await reading;
    if (count === null) this.end(new Error("the client hung up"));
    return count;
  }

  /** No race with one promise for the whole stream: that would remember every write. */
  async #unlessEnded<T>(work: () => Promise<T>): Promise<T> {
    if (this.#endReason !== undefined) throw this.#endReason;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#cutWrite = reject;
    work().then(resolve, (error) => {
      this.end(new Error("the client hung up", { cause: error }));
      reject(error);
    });
    try {
      return await promise;
    } finally {
      this.#cutWrite = undefined;
    }
  }
}
