/**
 * Relays all that a task's container says, from its start to its end, to one client. The engine keeps the output, so it
 * can be asked again, and what has been relayed is skipped: when a connection to it breaks, and once after the task's end.
 * That last time it need not follow the output, and so tells all of it: Docker (20.10) ends what it follows when the
 * container ends, even where the reader has not got so far.
 *
 * A client that does not read holds the relay up, for as long as it likes. An engine that says nothing is waited for as
 * long as the task runs, and for a bounded time after that.
 */
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { LogsOptions } from "../../engine/logs/container_logs.ts";
import type { LogChunk } from "../../engine/logs/log_frames.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { OutputPosition } from "../../protocol/control.ts";
import { encodeFrame, MAX_FRAME_PAYLOAD_BYTES } from "../../protocol/frames.ts";
import type { ControlChannel } from "../control_socket/control_channel.ts";

/** An engine that owes the end of a container's output for so long after the container's end is stuck. */
const QUIET_LIMIT_MS = 5_000;
/** Between tries on a connection that broke; doubled each time, up to the longest. */
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;
/** The news of a container's end comes at most so long after the end of its output, unless that end was the engine's own. */
const NEWS_LIMIT_MS = 5_000;

/** Some of the output, in the same way whenever it is read. */
export type OutputSelection = Pick<LogsOptions, "sinceMs" | "start" | "timestamps">;

export interface TaskOutputOptions {
  readonly containers: Pick<ContainerManager, "find" | "logs">;
  readonly containerId: string;
  /** All of the output by default. */
  readonly selection?: OutputSelection | undefined;
  /** What of that the client has received before. */
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
  /** When the engine last told something. */
  #heardAtMs = 0;
  /** Called when the task ends, while the engine is waited for. */
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
   * Resolves when everything is relayed; with why something may be missing, if so.
   * @throws when the client is gone
   */
  async relay(): Promise<string | undefined> {
    const { signal } = this.#options.channel;
    for (let retryMs = FIRST_RETRY_MS;; retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS)) {
      const isLast = this.#endedAtMs !== undefined;
      const failure = await this.#relayOnce({ follow: !isLast });
      signal.throwIfAborted();
      if (failure === undefined) {
        if (isLast) return this.#whatIsMissing();
        await this.#untilEnd(NEWS_LIMIT_MS);
      } else {
        if (isFinal(failure) || this.#isOver()) return messageOf(failure);
        await (isLast ? this.#pause(FIRST_RETRY_MS) : this.#untilEnd(retryMs));
      }
      signal.throwIfAborted();
    }
  }

  /** Docker ends the output of a container that is removed wherever its reader is, and does not say so. */
  #whatIsMissing(): string | undefined {
    const { containers, containerId } = this.#options;
    return containers.find(containerId) === undefined ? "its container was removed meanwhile" : undefined;
  }

  /** Whether the engine has had its time after the task's end. */
  #isOver(): boolean {
    if (this.#endedAtMs === undefined) return false;
    return this.#options.clock.now() - Math.max(this.#endedAtMs, this.#heardAtMs) >= QUIET_LIMIT_MS;
  }

  /** One reading of the output; resolves with what it failed for, unless that is the client. */
  async #relayOnce({ follow }: { follow: boolean }): Promise<unknown> {
    const { containers, containerId, selection, channel } = this.#options;
    using limit = new QuietLimit(this.#options);
    const skip = { ...this.#relayed };
    const chunks = containers.logs(containerId, { ...selection, follow, abort: limit.signal })
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
      return limit.signal.aborted ? limit.signal.reason : error;
    } finally {
      await chunks.return?.();
    }
  }

  async #nextOf(chunks: AsyncIterator<LogChunk>, limit: QuietLimit): Promise<LogChunk | undefined> {
    if (this.#endedAtMs !== undefined) limit.start();
    this.#onEnd = () => limit.start();
    try {
      const { done, value } = await chunks.next();
      this.#heardAtMs = this.#options.clock.now();
      return done ? undefined : value;
    } finally {
      this.#onEnd = undefined;
      limit.stop();
    }
  }

  /** Ends with the task, too. */
  async #untilEnd(limitMs: number): Promise<void> {
    if (this.#endedAtMs !== undefined) return;
    await this.#pause(limitMs, (end) => this.#onEnd = end);
    this.#onEnd = undefined;
  }

  /** Ends early with the client. @param onBegin is given what ends it */
  async #pause(limitMs: number, onBegin?: (end: () => void) => void): Promise<void> {
    const { clock, channel: { signal } } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = (): void => resolve();
    const cancel = clock.after(limitMs, end);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    onBegin?.(end);
    await promise;
    signal.removeEventListener("abort", end);
    cancel();
  }
}

/** Its signal aborts with the channel's, and when the engine is quiet for too long after the task's end. */
class QuietLimit implements Disposable {
  readonly #clock: Clock;
  readonly #channel: AbortSignal;
  readonly #abort = new AbortController();
  #cancel: (() => void) | undefined;

  constructor({ clock, channel }: Pick<TaskOutputOptions, "clock" | "channel">) {
    this.#clock = clock;
    this.#channel = channel.signal;
    this.#channel.addEventListener("abort", this.#onChannelEnd);
    if (this.#channel.aborted) this.#onChannelEnd();
  }

  get signal(): AbortSignal {
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

/** Trying again would not help. */
function isFinal(error: unknown): boolean {
  return error instanceof StuckError || (error instanceof ApexError && error.code === "not_found");
}

/**
 * The chunk without what its client has received before.
 * @param left so many bytes of each stream are still to be left out; taken off here
 */
export function withoutReceived(
  { stream, bytes }: LogChunk,
  left: { stdout: number; stderr: number },
): LogChunk {
  const skipped = Math.min(left[stream], bytes.length);
  left[stream] -= skipped;
  return { stream, bytes: bytes.subarray(skipped) };
}

/** Sends some output, in as many frames as it takes; resolves when the socket took it. @throws when the client is gone */
export async function sendOutput(channel: ControlChannel, { stream, bytes }: LogChunk): Promise<void> {
  const kind = stream === "stderr" ? "stderr" : "data";
  for (let start = 0; start < bytes.length; start += MAX_FRAME_PAYLOAD_BYTES) {
    await channel.send(encodeFrame(kind, bytes.subarray(start, start + MAX_FRAME_PAYLOAD_BYTES)));
  }
}
