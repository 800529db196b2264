import { delay } from "@std/async/delay";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { isPassingError } from "./passing_error.ts";

/** How long another daemon may take to come, for verbs that do not wait indefinitely. */
export const RECONNECT_WITHIN_MS = 30_000;

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 250;

export interface ReconnectOptions {
  /** Gives up, with its reason. */
  readonly signal: AbortSignal;
  /** How long to try, {@linkcode RECONNECT_WITHIN_MS} unless given; `Infinity`: until it succeeds. */
  readonly withinMs?: number;
  /** Whether another try may succeed after this error. */
  readonly mayPass?: (error: unknown) => boolean;
  /** Called with each error that may pass. */
  readonly onObstacle?: (error: unknown) => Promise<void>;
}

/**
 * What `open` gives as soon as it succeeds: it is tried again and again after the daemon went away.
 *
 * @throws {ApexError} `stream_cut` when it did not succeed in time; what `open` throws for good; the signal's reason
 */
export async function reconnect<T>(open: () => Promise<T>, options: ReconnectOptions): Promise<T> {
  const { signal, withinMs = RECONNECT_WITHIN_MS, mayPass = isPassingError, onObstacle } = options;
  const deadlineMs = performance.now() + withinMs;
  for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    await delay(pauseMs, { signal });
    try {
      return await open();
    } catch (error) {
      signal.throwIfAborted();
      if (!mayPass(error)) throw error;
      if (performance.now() > deadlineMs) {
        const message = `no daemon could be reached within ${withinMs / 1_000} s: ${messageOf(error)}`;
        throw new ApexError("stream_cut", message, { cause: error });
      }
      await onObstacle?.(error);
    }
  }
}
