import { delay } from "@std/async/delay";
import type { LineStream } from "../client/line_stream.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { Output } from "./output.ts";

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1_000;

/** Nobody there, or too busy, or about to go: another try may do. A connection that ends before its reply is `protocol`. */
const IS_PASSING: ReadonlySet<string> = new Set([
  "no_daemon",
  "busy",
  "timeout",
  "engine",
  "protocol",
  "failed",
]);

export interface ReopenedStreamOptions {
  readonly stderr: Output;
  readonly signal: AbortSignal;
}

/**
 * What `open` gives, as soon as it does: tried again after pauses of up to a second, for as long as it takes. What stands
 * in the way, other than that no daemon runs, is told once.
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
      if (!(error instanceof ApexError && IS_PASSING.has(error.code)) || signal.aborted) throw error;
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
