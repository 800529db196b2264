/**
 * The frames of one operation, through one daemon after another: when the daemon goes away before the last frame, the
 * operation is asked for again, from the byte on up to which its output was received.
 */
import type { ControlStream } from "../../client/control_stream.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { OutputPosition, StreamOp } from "../../protocol/control.ts";
import type { Frame } from "../../protocol/frames.ts";
import type { CliContext } from "../cli_context.ts";
import { isConnectionLoss } from "./passing_error.ts";
import { reconnect, RECONNECT_WITHIN_MS } from "./reconnect.ts";

/** A stream that is asked for, the first time or again. */
export interface Opening {
  /** How much of the output was received before. */
  readonly received: OutputPosition;
  /** Undefined the first time; else since when there has been no daemon, as `performance.now()` tells time. */
  readonly lostAtMs: number | undefined;
}

export interface ResumedFramesOptions {
  readonly context: Pick<CliContext, "onSignal" | "stderr">;
  /** Asks for the operation. */
  readonly open: (opening: Opening) => Promise<ControlStream<StreamOp>>;
  /** For people: `task build-7 continues`. */
  readonly standing: () => string;
  /** What to do when no daemon comes: `apex wait build-7`. */
  readonly remedy: () => string;
  /** Tells a person; prints to stderr unless given. */
  readonly tell?: (text: string) => Promise<void>;
  /** Ends it, with its reason. Ctrl-C aborts it as well while there is no daemon. */
  readonly abort: AbortController;
  /** Called when the daemon has gone away, before it is looked for. */
  readonly onLost?: () => Promise<void>;
}

/**
 * The frames up to the last one, `exit`; each one's payload is good until the next is asked for.
 *
 * @throws {ApexError} `stream_cut` when no daemon comes in time, `interrupted` on Ctrl-C while there is none; what `open`
 * throws; the reason of `abort`
 */
export async function* resumedFrames(options: ResumedFramesOptions): AsyncGenerator<Frame, void, undefined> {
  const { open, abort: { signal } } = options;
  const received = { stdout: 0, stderr: 0 };
  let stream = await openFirst(open, received);
  while (true) {
    if (stream !== undefined) {
      using current = stream;
      for await (const frame of current.frames) {
        const { kind, payload: { length } } = frame;
        yield frame;
        if (kind === "exit") return;
        if (kind === "data") received.stdout += length;
        else if (kind === "stderr") received.stderr += length;
      }
    }
    signal.throwIfAborted();
    stream = await reopen(options, received);
  }
}

/** Undefined when the daemon was gone before it had answered. */
async function openFirst(
  open: ResumedFramesOptions["open"],
  received: OutputPosition,
): Promise<ControlStream<StreamOp> | undefined> {
  try {
    return await open({ received, lostAtMs: undefined });
  } catch (error) {
    if (isConnectionLoss(error)) return undefined;
    throw error;
  }
}

async function reopen(
  { context, open, standing, remedy, tell, abort, onLost }: ResumedFramesOptions,
  received: OutputPosition,
): Promise<ControlStream<StreamOp>> {
  const say = tell ?? ((text: string) => context.stderr.print(`apex: ${text}`));
  const lostAtMs = performance.now();
  const lost = onLost?.();
  const giveUp = () => abort.abort(new ApexError("interrupted", `interrupted; ${standing()} (${remedy()})`));
  const stopListening = context.onSignal("SIGINT", giveUp);
  try {
    await lost;
    await say(
      `the daemon went away; ${standing()}; waiting ${RECONNECT_WITHIN_MS / 1_000} s for a daemon ` +
        "(Ctrl-C gives up)",
    );
    const { signal } = abort;
    const stream = await reconnect(() => open({ received, lostAtMs }), { signal });
    await say("connected again");
    return stream;
  } catch (error) {
    abort.signal.throwIfAborted();
    if (!(error instanceof ApexError)) throw error;
    const message = `cannot continue after the daemon went away: ${
      messageOf(error)
    }; ${standing()} (${remedy()})`;
    throw new ApexError(error.code, message, { cause: error });
  } finally {
    stopListening();
  }
}
