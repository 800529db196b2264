/**
 * What follows a reply line: the daemon sends frames or lines, and may receive frames. The connection owns its channel, and
 * lends it to an operation until that settles.
 *
 * The connection is always being read: by the operation that asked for frames, or else by the channel, which discards them. So
 * a hang-up is noticed even if the operation has nothing to send.
 */
import { SerialQueue } from "../../platform/async/semaphore.ts";
import { writeAll } from "../../platform/unix_socket.ts";
import { type Frame, FrameReader } from "../../protocol/frames.ts";

/** A stream from the point of view of an operation. */
export interface ControlChannel {
  /**
   * Aborted when the client hangs up (or only closes its end of writing), or when the daemon ends. An invalid frame does not
   * abort it: {@linkcode frames} throws, and the operation can still send.
   */
  readonly abortSignal: AbortSignal;
  /**
   * Writes one or more frames after those sent earlier. Resolves when the socket has taken all of them: an operation that awaits
   * each call has one piece in memory.
   *
   * @throws if the client has hung up or the daemon ends
   */
  send(frame: Uint8Array): Promise<void>;
  /**
   * Writes as much as the socket takes at once, after what was sent earlier. Resolves with the number of bytes.
   *
   * @throws if the client has hung up or the daemon ends
   */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends the stream, a pending write included: for a client that takes nothing. Can be called repeatedly. */
  end(reason: Error): void;
  /**
   * The frames that the client sends, to the end of its input. Call it once, before the operation's first `await`: otherwise the
   * channel discards them.
   *
   * @throws {FrameError} while iterating, for an invalid frame, after which none can be read. If the operation lets it
   * propagate, the client receives it as a last `exit` frame.
   */
  frames(): AsyncIterable<Frame>;
}

/** The reason for the end of streams when the daemon ends. Their clients can continue with the next daemon. */
export class DaemonEndingError extends Error {
  override readonly name = "DaemonEndingError";

  constructor() {
    super("the daemon is ending");
  }
}

/** Whether a stream ends because the daemon does, and not because its client has hung up. */
export function isDaemonEnding({ abortSignal }: Pick<ControlChannel, "abortSignal">): boolean {
  return abortSignal.reason instanceof DaemonEndingError;
}

/** Size of the buffer for discarded input. */
const DISCARD_BYTES = 512;

/** A {@linkcode ControlChannel} on a socket, which it does not close. */
export class SocketChannel implements ControlChannel {
  readonly #conn: Deno.UnixConn;
  readonly #rest: Uint8Array;
  readonly #over = new AbortController();
  /** Rejects the pending write, of which there is one at most: in Deno 2.4, closing the connection does not end it. */
  #cutWrite: ((reason: Error) => void) | undefined;
  /** Set when the stream has ended: every further write fails with it. */
  #endReason: Error | undefined;
  readonly #sends = new SerialQueue();
  #lastRead: Promise<unknown> = Promise.resolve();
  #isRead = false;

  /** @param rest bytes that arrived together with the request line */
  constructor(conn: Deno.UnixConn, rest: Uint8Array) {
    this.#conn = conn;
    this.#rest = rest;
  }

  get abortSignal(): AbortSignal {
    return this.#over.signal;
  }

  /** Whether the operation reads the client's frames. */
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

  /** Discards the client's input, to its end. Never rejects. */
  async discardInput(): Promise<void> {
    await this.#lastRead;
    const discarded = new Uint8Array(DISCARD_BYTES);
    while (await this.#read(discarded) !== null);
  }

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
    // Any error of a read means that the client hung up or the connection is closed.
    const reading = this.#conn.read(buffer).catch(() => null);
    this.#lastRead = reading;
    const count = await reading;
    if (count === null) this.end(new Error("the client hung up"));
    return count;
  }

  /** Not a race with one promise for the whole stream, which would keep a reaction for every write. */
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
