import { ByteTail } from "../../engine/logs/byte_tail.ts";
import { spliceTail, withUnlogged } from "../../engine/logs/tty_log.ts";
import { abortableDelay } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { ContainerTerminals } from "../container_terminals.ts";

export interface TailBeforeOptions {
  readonly containerId: string;
  readonly terminals: Pick<ContainerTerminals, "tail">;
  /** The last that was heard of it before the stream began. */
  readonly recent: Uint8Array;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Some thousand lines: more than a screen's scrollback holds of usual output. */
const MAX_TAIL_BYTES = 1024 * 1024;
/** The engine writes its log a moment after it has passed the same bytes to its streams. */
const LOG_IS_BEHIND_MS = 50;
/** Half a second in all: so long a client waits for its screen. */
const MAX_TRIES = 10;
const LF = 0x0a;

/**
 * What a container had said before a stream of its terminal began, as far back as it is needed; undefined when that
 * cannot be told. The stream must be open already: then nothing is between the two.
 * @param said everything that the stream has said by now
 * @throws {EngineError} when the log cannot be read
 */
export async function tailBefore(
  said: () => Uint8Array,
  { containerId, terminals, recent, clock, signal }: TailBeforeOptions,
): Promise<Uint8Array | undefined> {
  for (let tries = 1;; tries++) {
    const maxBytes = MAX_TAIL_BYTES + said().length;
    const log = withUnlogged(await terminals.tail(containerId, { maxBytes, signal }), recent);
    const heard = said();
    // It says so much that nothing before it matters any more.
    if (heard.length > MAX_TAIL_BYTES) return undefined;
    const before = spliceTail(log, heard);
    // A stream that is silent may be about to say what the log has already.
    if (heard.length > 0 && before !== undefined) return before;
    await abortableDelay(LOG_IS_BEHIND_MS, { clock, abort: signal });
    if (heard.length === 0 && said().length === 0) return log;
    // Docker logs whole lines: of one that has not ended it has nothing, so there is nothing to take away.
    if (tries === MAX_TRIES) return heard.includes(LF) ? undefined : log;
  }
}

/**
 * The last of what a terminal has said, kept where the next daemon finds it: an engine that logs whole lines does not have
 * the last one, a prompt or all that a full-screen program has drawn.
 */

export interface RecentOutputOptions {
  readonly clock: Clock;
  /** Of an earlier life. */
  readonly bytes?: Uint8Array;
  /** Called some time after output that came since the last call: not for each key. */
  readonly onKeep: () => void;
}

/** The longest piece that Docker holds back, and enough of the line before it to find it in the log. */
const MAX_BYTES = 16 * 1024 + 512;
/** What came in this time before a kill may be missing. */
const KEEP_AFTER_MS = 250;

export class RecentOutput implements Disposable {
  readonly #options: RecentOutputOptions;
  #tail = new ByteTail(MAX_BYTES);
  #cancelKeep: (() => void) | undefined;

  constructor(options: RecentOutputOptions) {
    this.#options = options;
    if (options.bytes !== undefined) this.#tail.push(options.bytes);
  }

  /** A copy. */
  get bytes(): Uint8Array {
    return this.#tail.bytes();
  }

  /** Takes a copy of what of it is needed. */
  push(output: Uint8Array): void {
    this.#tail.push(output);
    this.#cancelKeep ??= this.#options.clock.after(KEEP_AFTER_MS, () => this.#keep());
  }

  /** Forgets what came so far; begins anew behind `before`. */
  restart(before?: Uint8Array): void {
    this.#tail = new ByteTail(MAX_BYTES);
    if (before !== undefined) this.push(before);
  }

  /** What is to be kept is kept now. */
  [Symbol.dispose](): void {
    if (this.#cancelKeep !== undefined) this.#keep();
  }

  #keep(): void {
    this.#cancelKeep?.();
    this.#cancelKeep = undefined;
    this.#options.onKeep();
  }
}
