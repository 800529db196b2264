import { messageOf } from "../../platform/apex_error.ts";
import { Deadline } from "../../platform/async/deadline.ts";
import { delayUnlessAborted } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";

/** As many bytes as cannot be guessed, nor be a subscriber's first words by chance. */
export const BARRIER_TOKEN_BYTES = 32;
/** A control reply waits so long at most. */
const LIMIT_MS = 2_000;
/** While the backlog is full, `connect` fails at once; the accept loop makes room within about this time. */
const RETRY_MS = 1;

export interface AcceptBarrierOptions {
  /** Of the socket whose accept loop is to be proved. */
  readonly socketPath: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Proves that a listener has accepted every connection made before: its backlog is first in, first out, so once a
 * connection of our own is accepted, all earlier ones are. That connection sends a random token; the server, which
 * recognises it by {@linkcode AcceptBarrier.isToken}, closes it, and that end is the proof.
 *
 * Callers share: one proof runs, and who comes meanwhile waits for the one after it.
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

  /** Resolves when every connection made before the call is accepted, or after two seconds. Never rejects. */
  pass(): Promise<void> {
    if (this.#running === undefined) return this.#run();
    this.#queued ??= this.#running.then(() => {
      this.#queued = undefined;
      return this.#run();
    });
    return this.#queued;
  }

  /** Whether these are the first bytes of our own connection. */
  isToken(bytes: Uint8Array): boolean {
    const token = this.#token;
    return token !== undefined && bytes.length === token.length &&
      token.every((byte, at) => byte === bytes[at]);
  }

  /** Lets all who wait pass. */
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
      await this.#meetOurselves(this.#token, deadline.abortSignal);
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        const why = deadline.abortSignal.aborted ? `not accepted within ${LIMIT_MS} ms` : messageOf(error);
        logger.warn(`events socket: connections made just now may be registered late: ${why}`);
      }
    } finally {
      this.#token = undefined;
    }
  }

  async #meetOurselves(token: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void> {
    const connection = await this.#connect(signal);
    let open = true;
    const close = (): void => {
      if (open) connection.close();
      open = false;
    };
    // Closing interrupts the read below, which then throws.
    signal.addEventListener("abort", close, { once: true });
    if (signal.aborted) close();
    try {
      await connection.write(token);
      const buffer = new Uint8Array(4_096);
      // Events may come before the end, as to any subscriber.
      while (await connection.read(buffer) !== null);
    } catch (error) {
      // Closed before the token was read: accepted all the same, and refused (too many subscribers).
      if (!(error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe)) {
        throw error;
      }
    } finally {
      signal.removeEventListener("abort", close);
      close();
    }
  }

  async #connect(signal: AbortSignal): Promise<Deno.UnixConn> {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await Deno.connect({ transport: "unix", path: this.#options.socketPath });
      } catch (error) {
        // A full backlog, or no descriptor left: both pass.
        const code = error instanceof Error && "code" in error ? error.code : undefined;
        if (!(error instanceof Deno.errors.WouldBlock) && code !== "EMFILE" && code !== "ENFILE") throw error;
        await delayUnlessAborted(RETRY_MS, { clock: this.#options.clock, abort: signal });
      }
    }
  }
}
