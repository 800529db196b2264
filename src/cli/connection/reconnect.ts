/**
 * What clients do when the daemon goes away: they try to connect again, to the same daemon or its successor, and resume
 * their operation at the byte up to which they have received its output.
 */
import { delay } from "@std/async/delay";
import { RefusedError } from "../../client/control_exchange.ts";
import type { ControlStream } from "../../client/control_stream.ts";
import { ApexError, type ErrorCode, messageOf } from "../../platform/apex_error.ts";
import type { Frame } from "../../protocol/frames.ts";
import type { FrameOp } from "../../protocol/operations.ts";
import type { OutputPosition } from "../../protocol/task_operations.ts";
import type { CliContext } from "../cli_context.ts";

/** How long verbs wait for another daemon, unless they wait indefinitely. */
export const RECONNECT_WITHIN_MS = 30_000;

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 250;

export interface ReconnectOptions {
  /** Gives up, with its reason. */
  readonly abort: AbortSignal;
  /** How long to try: {@linkcode RECONNECT_WITHIN_MS} by default; `Infinity` tries until it succeeds. */
  readonly withinMs?: number;
  /** Whether to try again after this error; {@linkcode isTransientError} by default. */
  readonly isTransient?: (error: unknown) => boolean;
  /** Called with each transient error. */
  readonly onObstacle?: (error: unknown) => Promise<void>;
}

/**
 * Calls `open` until it succeeds, and returns its result.
 *
 * @throws {ApexError} `stream_cut` when the time is up; the first error of `open` that is not transient; the reason of `abort`
 */
export async function reconnect<T>(open: () => Promise<T>, options: ReconnectOptions): Promise<T> {
  const { abort, withinMs = RECONNECT_WITHIN_MS, isTransient = isTransientError, onObstacle } = options;
  const deadlineMs = performance.now() + withinMs;
  for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    await delay(pauseMs, { signal: abort });
    try {
      return await open();
    } catch (error) {
      abort.throwIfAborted();
      if (!isTransient(error)) throw error;
      if (performance.now() > deadlineMs) {
        const message = `no daemon could be reached within ${withinMs / 1_000} s: ${messageOf(error)}`;
        throw new ApexError("stream_cut", message, { cause: error });
      }
      await onObstacle?.(error);
    }
  }
}

/** Refusals by a daemon that is too busy, is shutting down, or has no engine yet. */
const TRANSIENT_REFUSALS: ReadonlySet<ErrorCode> = new Set(["busy", "engine", "timeout"]);
/** No process listens, accepts the connection, or answers. */
const TRANSIENT_FAILURES: ReadonlySet<ErrorCode> = new Set(["no_daemon", "timeout", "failed"]);

/** Whether another attempt to connect may succeed. */
export function isTransientError(error: unknown): error is ApexError {
  if (error instanceof RefusedError) return TRANSIENT_REFUSALS.has(error.code);
  if (!(error instanceof ApexError)) return false;
  return TRANSIENT_FAILURES.has(error.code) || isConnectionLoss(error);
}

/** Whether the connection was lost before the daemon answered, as happens when a daemon is killed. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof ApexError) || error instanceof RefusedError) return false;
  const { cause } = error;
  return cause instanceof Deno.errors.UnexpectedEof || cause instanceof Deno.errors.ConnectionReset ||
    cause instanceof Deno.errors.BrokenPipe || cause instanceof Deno.errors.NotConnected;
}

export interface Opening {
  /** How much of the output has been received so far. */
  readonly received: OutputPosition;
  /** When the daemon went away, in the time of `performance.now()`; undefined for the first request. */
  readonly lostAtMs: number | undefined;
}

export interface ResumedFramesOptions {
  readonly context: Pick<CliContext, "onSignal" | "stderr">;
  /** Requests the operation, or requests it again. */
  readonly open: (opening: Opening) => Promise<ControlStream<FrameOp>>;
  /** For messages: `task build-7 continues`. */
  readonly standing: () => string;
  /** What to do if no daemon comes: `see: apex wait build-7`. */
  readonly remedy: () => string;
  /** Prints a message; on stderr by default. */
  readonly notify?: (text: string) => Promise<void>;
  /** Ends the frames, with its reason. While no daemon is connected, Ctrl-C aborts it too. */
  readonly abort: AbortController;
  /** Called when the daemon has gone away, before the client looks for another one. */
  readonly onLost?: () => Promise<void>;
}

/**
 * The frames of one operation up to its last one, `exit`, from one daemon or several. The payload of a frame is valid until
 * the next frame is requested.
 *
 * @throws {ApexError} `stream_cut` when no daemon comes in time; `interrupted` on Ctrl-C while no daemon is connected; the
 * errors of `open`; the reason of `abort`
 */
export async function* resumedFrames(options: ResumedFramesOptions): AsyncGenerator<Frame, void, undefined> {
  const { open, abort } = options;
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
    abort.signal.throwIfAborted();
    stream = await reopen(options, received);
  }
}

/** Undefined if the connection was lost before the daemon answered. */
async function openFirst(
  open: ResumedFramesOptions["open"],
  received: OutputPosition,
): Promise<ControlStream<FrameOp> | undefined> {
  try {
    return await open({ received, lostAtMs: undefined });
  } catch (error) {
    if (isConnectionLoss(error)) return undefined;
    throw error;
  }
}

async function reopen(
  { context, open, standing, remedy, notify, abort, onLost }: ResumedFramesOptions,
  received: OutputPosition,
): Promise<ControlStream<FrameOp>> {
  const print = notify ?? ((text: string) => context.stderr.print(`apex: ${text}`));
  const lostAtMs = performance.now();
  const lost = onLost?.();
  const giveUp = () => abort.abort(new ApexError("interrupted", `interrupted; ${standing()} (${remedy()})`));
  const stopListening = context.onSignal("SIGINT", giveUp);
  try {
    await lost;
    const seconds = RECONNECT_WITHIN_MS / 1_000;
    await print(`lost the daemon; ${standing()}; waiting ${seconds} s for a daemon (Ctrl-C gives up)`);
    const stream = await reconnect(() => open({ received, lostAtMs }), { abort: abort.signal });
    await print("reconnected");
    return stream;
  } catch (error) {
    abort.signal.throwIfAborted();
    if (!(error instanceof ApexError)) throw error;
    const message = `cannot resume after losing the daemon: ${messageOf(error)}; ${standing()} (${remedy()})`;
    throw new ApexError(error.code, message, { cause: error });
  } finally {
    stopListening();
  }
}
