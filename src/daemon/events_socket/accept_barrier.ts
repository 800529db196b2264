import { messageOf } from "../../platform/apex_error.ts";
import { Deadline } from "../../platform/async/deadline.ts";
import { delayUnlessAborted } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { closeQuietly } from "../../platform/unix_socket.ts";

/** Enough random bytes that no client can guess them or send them by chance. */
export const BARRIER_TOKEN_BYTES = 32;
/** The longest delay of a control reply. */
const LIMIT_MS = 2_000;
/** While the backlog is full, `connect` fails at once; the accept loop makes room within about a millisecond. */
const RETRY_MS = 1;

export interface AcceptBarrierOptions {
  /** The socket with the accept loop. */
  readonly socketPath: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Proves that a listener has accepted every earlier connection. Its backlog is first in, first out: when a connection of the
 * barrier is accepted, all earlier ones are. The barrier's connection sends a random token. The server recognizes it with
 * {@linkcode AcceptBarrier.isToken} and closes the connection, and this end is the proof.
 *
 * Callers share proofs: one runs at a time, and all calls during it wait for the next one.
 */
export class AcceptBarrier implements Disposable {
  readonly #options: AcceptBarrierOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #queued: Promise<void> | undefined;
  #token: Uint8Array<ArrayBuffer> | undefined;

  constructor(options: AcceptBarrierOptions) {
    this.#options = options;
  }

  /** Resolves when every connection from before the call is accepted, or after two seconds. Never rejects. */
  pass(): Promise<void> {
    if (this.#running === undefined) return this.#run();
    this.#queued ??= this.#running.then(() => {
      this.#queued = undefined;
      // A call between the end of the last proof and this turn may have started the next one, which is late enough.
      return this.#running ?? this.#run();
    });
    return this.#queued;
  }

  /** Whether these are the first bytes of the barrier's connection. */
  isToken(bytes: Uint8Array): boolean {
    const token = this.#token;
    return token !== undefined && bytes.length === token.length &&
      token.every((byte, at) => byte === bytes[at]);
  }

  /** Resolves all pending calls. */
  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  #run(): Promise<void> {
    const running = this.#prove().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #prove(): Promise<void> {
    const { clock, logger } = this.#options;
    using deadline = new Deadline(LIMIT_MS, { clock, abort: this.#stop.signal });
    try {
      this.#token = crypto.getRandomValues(new Uint8Array(BARRIER_TOKEN_BYTES));
      await this.#untilAccepted(this.#token, deadline.abortSignal);
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        const why = deadline.abortSignal.aborted ? `not accepted within ${LIMIT_MS} ms` : messageOf(error);
        logger.warn(`events socket: connections made just now may be registered late: ${why}`);
      }
    } finally {
      this.#token = undefined;
    }
  }

  async #untilAccepted(token: Uint8Array<ArrayBuffer>, abort: AbortSignal): Promise<void> {
    const connection = await this.#connect(abort);
    const close = (): void => closeQuietly(connection);
    // Closing interrupts the read below, which then throws.
    abort.addEventListener("abort", close, { once: true });
    if (abort.aborted) close();
    try {
      await connection.write(token);
      const buffer = new Uint8Array(4_096);
      // Events may arrive before the end, as for any subscriber.
      while (await connection.read(buffer) !== null);
    } catch (error) {
      // Closed before the token was read: the server accepted the connection, and refused it (too many subscribers).
      if (!(error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe)) {
        throw error;
      }
    } finally {
      abort.removeEventListener("abort", close);
      close();
    }
  }

  async #connect(abort: AbortSignal): Promise<Deno.UnixConn> {
    for (;;) {
      abort.throwIfAborted();
      try {
        return await Deno.connect({ transport: "unix", path: this.#options.socketPath });
      } catch (error) {
        // A full backlog, or no descriptor left: both are temporary.
        const code = error instanceof Error && "code" in error ? error.code : undefined;
        if (!(error instanceof Deno.errors.WouldBlock) && code !== "EMFILE" && code !== "ENFILE") throw error;
        await delayUnlessAborted(RETRY_MS, { clock: this.#options.clock, abort });
      }
    }
  }
}
