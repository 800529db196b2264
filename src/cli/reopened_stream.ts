import { delay } from "@std/async/delay";
import type { LineStream } from "../client/line_stream.ts";
import type { Output } from "./output.ts";
import { isPassingError } from "./passing_error.ts";

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1_000;

export interface ReopenedStreamOptions {
  readonly stderr: Output;
  readonly signal: AbortSignal;
}

/**
 * What `open` gives, as soon as it does: tried again after pauses of up to a second, for as long as it takes. What stands
 * in the way, other than that no daemon runs, is told once; what a daemon refuses ends it, unless that may pass.
 *
 * @throws what `open` throws for good; the signal's reason when that is aborted.
 */
export async function reopenedStream(
  open: () => Promise<LineStream>,
  { stderr, signal }: ReopenedStreamOptions,
): Promise<LineStream> {
  let told = "";
  for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    await pause(pauseMs, signal);
    try {
      return await open();
    } catch (error) {
      if (!isPassingError(error) || signal.aborted) throw error;
      if (error.code === "no_daemon" || error.message === told) continue;
      told = error.message;
      await stderr.print(`apex: still trying to connect: ${told}`);
    }
  }
}

async function pause(pauseMs: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(pauseMs, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}
