/**
 * The output that a terminal printed before its stream was opened. A screen is rebuilt from it after the stream was lost,
 * or after the daemon was restarted.
 *
 * The engine's log has most of it, but Docker logs whole lines only: an unfinished line, such as a prompt or everything that
 * a full-screen program has drawn, is missing. So {@linkcode RecentOutput} keeps the last output in the session's row, and
 * {@linkcode tailBefore} joins the log, that output and the stream without a gap or a repetition.
 */
import { ByteTail } from "../../engine/logs/byte_tail.ts";
import { spliceTail, withUnlogged } from "../../engine/logs/tty_log.ts";
import { abortableDelay } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { ContainerTerminals } from "../container_terminals.ts";

export interface RecentOutputOptions {
  readonly clock: Clock;
  /** The recent output that the previous daemon stored. */
  readonly bytes?: Uint8Array;
  /** Stores {@linkcode RecentOutput.bytes}. Called with a delay after new output, not for each keystroke. */
  readonly onKeep: () => void;
}

/** The longest piece that Docker holds back, and enough of the line before it to find it in the log. */
const MAX_RECENT_BYTES = 16 * 1024 + 512;
/** Output of this time may be missing from the row when the daemon is killed. */
const KEEP_AFTER_MS = 250;

/** The last output of a terminal, which is stored with its session. */
export class RecentOutput implements Disposable {
  readonly #options: RecentOutputOptions;
  #tail = new ByteTail(MAX_RECENT_BYTES);
  #cancelKeep: (() => void) | undefined;

  constructor(options: RecentOutputOptions) {
    this.#options = options;
    if (options.bytes !== undefined) this.#tail.push(options.bytes);
  }

  /** A copy. */
  get bytes(): Uint8Array {
    return this.#tail.bytes();
  }

  /** Takes a copy of the part that it keeps. */
  push(output: Uint8Array): void {
    this.#tail.push(output);
    this.#cancelKeep ??= this.#options.clock.after(KEEP_AFTER_MS, () => this.#keep());
  }

  /** Forgets all output, and starts over with `before`. */
  restart(before?: Uint8Array): void {
    this.#tail = new ByteTail(MAX_RECENT_BYTES);
    if (before !== undefined) this.push(before);
  }

  /** Stores output that has not been stored yet. */
  [Symbol.dispose](): void {
    if (this.#cancelKeep !== undefined) this.#keep();
  }

  #keep(): void {
    this.#cancelKeep?.();
    this.#cancelKeep = undefined;
    this.#options.onKeep();
  }
}

export interface TailBeforeOptions {
  readonly containerId: string;
  readonly terminals: Pick<ContainerTerminals, "tail">;
  /** The last output that was received before the stream was opened. */
  readonly recent: Uint8Array;
  readonly clock: Clock;
  readonly abort: AbortSignal;
}

/** Several thousand lines: more than a screen's scrollback usually holds. */
const MAX_TAIL_BYTES = 1024 * 1024;
/** The engine writes its log shortly after it has sent the same bytes to its streams. */
const LOG_DELAY_MS = 50;
/** Half a second in all, which is how long a client may wait for its screen. */
const MAX_ATTEMPTS = 10;
const LF = 0x0a;

/**
 * Returns the output that a container printed before its open stream began, or undefined when that cannot be determined. The
 * stream must be open already, so that no output falls between the log and the stream.
 * @param streamed returns everything that has arrived on the stream so far
 * @throws {EngineError} when the log cannot be read
 */
export async function tailBefore(
  streamed: () => Uint8Array,
  { containerId, terminals, recent, clock, abort }: TailBeforeOptions,
): Promise<Uint8Array | undefined> {
  for (let attempt = 1;; attempt++) {
    const maxBytes = MAX_TAIL_BYTES + streamed().length;
    const log = withUnlogged(await terminals.tail(containerId, { maxBytes, abort }), recent);
    const after = streamed();
    // With that much new output, nothing before it matters.
    if (after.length > MAX_TAIL_BYTES) return undefined;
    const before = spliceTail(log, after);
    // A silent stream may be about to deliver output that the log has already.
    if (after.length > 0 && before !== undefined) return before;
    await abortableDelay(LOG_DELAY_MS, { clock, abort });
    if (after.length === 0 && streamed().length === 0) return log;
    // Docker does not log an unfinished line, so the log has none of it, and nothing has to be cut off.
    if (attempt === MAX_ATTEMPTS) return after.includes(LF) ? undefined : log;
  }
}
