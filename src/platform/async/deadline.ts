import type { Clock } from "../clock.ts";

/** A limit in time on something that takes an AbortSignal. Dispose it when that is over. */
export interface Deadline extends Disposable {
  /** Aborts with the caller's signal, or with a {@linkcode DeadlineExceeded} when the time is up. */
  readonly signal: AbortSignal;
  /** It came in time: from now on only the caller's signal aborts. */
  met(): void;
}

/** The reason of a signal whose {@linkcode Deadline} has passed. */
export class DeadlineExceeded extends Error {
  override readonly name: string = "DeadlineExceeded";
  readonly timeoutMs: number;

  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs / 1000} s`);
    this.timeoutMs = timeoutMs;
  }
}

/**
 * Starts a deadline. Disposal undoes all of it: the time stops, and the caller's signal is let go.
 *
 * (`AbortSignal.any` would leave some 100 bytes for each request on a signal that lives as long as the daemon.)
 * @param timeoutMs 0: no limit
 */
export function startDeadline(clock: Clock, timeoutMs: number, signal?: AbortSignal): Deadline {
  const controller = new AbortController();
  const follow = () => controller.abort(signal?.reason);
  if (signal?.aborted) follow();
  signal?.addEventListener("abort", follow, { once: true });
  const cancel = timeoutMs === 0
    ? () => {}
    : clock.after(timeoutMs, () => controller.abort(new DeadlineExceeded(timeoutMs)));
  return {
    signal: controller.signal,
    met: cancel,
    [Symbol.dispose]() {
      cancel();
      signal?.removeEventListener("abort", follow);
    },
  };
}
