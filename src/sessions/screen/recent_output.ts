/**
 * The last of what a terminal has said, kept where the next daemon finds it: an engine that logs whole lines does not have
 * the last one, a prompt or all that a full-screen program has drawn.
 */
import { ByteTail } from "../../engine/logs/byte_tail.ts";
import type { Clock } from "../../platform/clock.ts";

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
