/**
 * Relays the output of a task's container to one client, from the start of the container to its end. The engine stores the
 * output. So the relay reads it again when the connection to the engine breaks, and once after the end of the task, and skips
 * the bytes that it has relayed. The last reading does not follow the output, and is therefore complete: Docker (20.10) ends a
 * followed log when the container ends, even if the reader has not received all of it.
 *
 * A client that does not read delays the relay indefinitely. An engine that sends nothing is waited for while the task runs,
 * and for a limited time after that.
 */
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { LogsOptions } from "../../engine/logs/container_logs.ts";
import type { LogChunk } from "../../engine/logs/log_frames.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { delayUnlessAborted, settlesWithin } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import { encodeFrame, MAX_FRAME_PAYLOAD_BYTES } from "../../protocol/frames.ts";
import type { OutputPosition } from "../../protocol/task_operations.ts";
import type { ControlChannel } from "../control_socket/control_channel.ts";

/** An engine that sends neither output nor its end for this time after the end of the container is stuck. */
const QUIET_LIMIT_MS = 5_000;
/** Between attempts on a broken connection; doubled each time, up to the longest. */
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;
/** The event of a container's exit follows the end of its output within this time, unless the engine itself ended. */
const EXIT_EVENT_LIMIT_MS = 5_000;

/** A part of the output that is the same in every reading. */
export type OutputSelection = Pick<LogsOptions, "sinceMs" | "start" | "timestamps">;

export interface TaskOutputOptions {
  readonly containers: Pick<ContainerManager, "find" | "logs">;
  readonly containerId: string;
  /** All of the output by default. */
  readonly selection?: OutputSelection | undefined;
  /** The part of it that the client has received already. */
  readonly received?: OutputPosition;
  /** Resolves when the task has ended. */
  readonly ended: Promise<unknown>;
  readonly channel: ControlChannel;
  readonly clock: Clock;
}

export class TaskOutput {
  readonly #options: TaskOutputOptions;
  /** Bytes relayed of each stream. */
  readonly #relayed: { stdout: number; stderr: number };
  #endedAtMs: number | undefined;
  /** When the engine last sent something. */
  #receivedAtMs = 0;
  /** Called when the task ends during a wait for the engine. */
  #onEnd: (() => void) | undefined;

  constructor(options: TaskOutputOptions) {
    this.#options = options;
    const { stdout = 0, stderr = 0 } = options.received ?? {};
    this.#relayed = { stdout, stderr };
    void options.ended.then(() => {
      this.#endedAtMs = options.clock.now();
      this.#onEnd?.();
    });
  }

  /**
   * Resolves when the output is relayed; with the reason if some of it may be missing.
   *
   * @throws if the client has hung up
   */
  async relay(): Promise<string | undefined> {
    const { channel, clock } = this.#options;
    const { abortSignal } = channel;
    for (let retryMs = FIRST_RETRY_MS;; retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS)) {
      const isLast = this.#endedAtMs !== undefined;
      const failure = await this.#relayOnce({ follow: !isLast });
      abortSignal.throwIfAborted();
      if (failure === undefined) {
        if (isLast) return this.#reasonForGap();
        await this.#untilEnd(EXIT_EVENT_LIMIT_MS);
      } else {
        if (isFinal(failure) || this.#hasTimedOut()) return messageOf(failure);
        if (!isLast) await this.#untilEnd(retryMs);
        else await delayUnlessAborted(FIRST_RETRY_MS, { clock, abort: channel.abortSignal });
      }
      abortSignal.throwIfAborted();
    }
  }

  /** Docker ends the log of a removed container wherever its reader is, without an error. */
  #reasonForGap(): string | undefined {
    const { containers, containerId } = this.#options;
    return containers.find(containerId) === undefined
      ? "the container was removed before all of its output was read"
      : undefined;
  }

  /** Whether the engine's time after the end of the task is over. */
  #hasTimedOut(): boolean {
    if (this.#endedAtMs === undefined) return false;
    return this.#options.clock.now() - Math.max(this.#endedAtMs, this.#receivedAtMs) >= QUIET_LIMIT_MS;
  }

  /** Reads the output once. Resolves with the error, if any. */
  async #relayOnce({ follow }: { follow: boolean }): Promise<unknown> {
    const { containers, containerId, selection, channel } = this.#options;
    using limit = new QuietLimit(this.#options);
    const skip = { ...this.#relayed };
    const chunks = containers.logs(containerId, { ...selection, follow, abort: limit.abortSignal })
      [Symbol.asyncIterator]();
    try {
      while (true) {
        const next = await this.#nextOf(chunks, limit);
        if (next === undefined) return undefined;
        const fresh = withoutReceived(next, skip);
        await sendOutput(channel, fresh);
        this.#relayed[fresh.stream] += fresh.bytes.length;
      }
    } catch (error) {
      return limit.abortSignal.aborted ? limit.abortSignal.reason : error;
    } finally {
      await chunks.return?.();
    }
  }

  async #nextOf(chunks: AsyncIterator<LogChunk>, limit: QuietLimit): Promise<LogChunk | undefined> {
    if (this.#endedAtMs !== undefined) limit.start();
    this.#onEnd = () => limit.start();
    try {
      const { done, value } = await chunks.next();
      this.#receivedAtMs = this.#options.clock.now();
      return done ? undefined : value;
    } finally {
      this.#onEnd = undefined;
      limit.stop();
    }
  }

  /** Pauses until the end of the task, for `timeoutMs` at most. Ends early if the client hangs up. */
  async #untilEnd(timeoutMs: number): Promise<void> {
    const { ended, clock, channel } = this.#options;
    await settlesWithin(ended, { timeoutMs, clock, abort: channel.abortSignal });
  }
}

/** `abortSignal` aborts with the channel's, and when the engine sends nothing for too long after the end of the task. */
class QuietLimit implements Disposable {
  readonly #clock: Clock;
  readonly #channel: AbortSignal;
  readonly #abort = new AbortController();
  #cancel: (() => void) | undefined;

  constructor({ clock, channel }: Pick<TaskOutputOptions, "clock" | "channel">) {
    this.#clock = clock;
    this.#channel = channel.abortSignal;
    this.#channel.addEventListener("abort", this.#onChannelEnd);
    if (this.#channel.aborted) this.#onChannelEnd();
  }

  get abortSignal(): AbortSignal {
    return this.#abort.signal;
  }

  start(): void {
    this.#cancel ??= this.#clock.after(QUIET_LIMIT_MS, () => this.#abort.abort(new StuckError()));
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  [Symbol.dispose](): void {
    this.stop();
    this.#channel.removeEventListener("abort", this.#onChannelEnd);
  }

  readonly #onChannelEnd = (): void => this.#abort.abort(this.#channel.reason);
}

class StuckError extends ApexError {
  constructor() {
    super(
      "timeout",
      `the engine did not end the output within ${QUIET_LIMIT_MS / 1_000} s of the task's end`,
    );
  }
}

/** Another attempt would fail, too. */
function isFinal(error: unknown): boolean {
  return error instanceof StuckError || (error instanceof ApexError && error.code === "not_found");
}

/**
 * The chunk without the bytes that the client has received already.
 *
 * @param left the number of bytes of each stream that are still to be skipped; reduced by this call
 */
export function withoutReceived(
  { stream, bytes }: LogChunk,
  left: { stdout: number; stderr: number },
): LogChunk {
  const skipped = Math.min(left[stream], bytes.length);
  left[stream] -= skipped;
  return { stream, bytes: bytes.subarray(skipped) };
}

/** Sends a chunk of output in one or more frames. Resolves when the socket has taken them. @throws if the client has hung up */
export async function sendOutput(channel: ControlChannel, { stream, bytes }: LogChunk): Promise<void> {
  const kind = stream === "stderr" ? "stderr" : "data";
  for (let start = 0; start < bytes.length; start += MAX_FRAME_PAYLOAD_BYTES) {
    await channel.send(encodeFrame(kind, bytes.subarray(start, start + MAX_FRAME_PAYLOAD_BYTES)));
  }
}
