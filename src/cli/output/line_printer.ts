/**
 * Prints lines such that it is known, whenever that ends, which of them have gone out. A write that a paused reader holds
 * up says nothing of how far it came, so each is as short as a pipe takes only as a whole; and none begins after the end.
 */
import { settlesWithin } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import { type Output, OutputClosedError } from "./output.ts";

/** `PIPE_BUF`: a pipe takes so many bytes all at once, or waits with all of them. */
export const ATOMIC_BYTES = Deno.build.os === "linux" ? 4096 : 512;
/** For a reader that reads on, by far enough; one that pauses delays the end by it. */
const FINISH_MS = 500;

export interface LinePrinterOptions {
  readonly output: Pick<Output, "relay">;
  /** Aborted, it begins nothing more. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

export class LinePrinter {
  readonly #output: Pick<Output, "relay">;
  readonly #signal: AbortSignal;
  readonly #clock: Clock;
  #underWay: Promise<void> | undefined;

  constructor({ output, signal, clock }: LinePrinterOptions) {
    this.#output = output;
    this.#signal = signal;
    this.#clock = clock;
  }

  /**
   * Prints whole lines; at most {@linkcode ATOMIC_BYTES} of them, or a single one of any length.
   *
   * @param printed is called when all of them have gone out
   * @throws as {@linkcode Output.relay} and `printed` do; the signal's reason when that is aborted before it has begun.
   */
  async print(lines: Uint8Array, printed: () => void): Promise<void> {
    this.#signal.throwIfAborted();
    this.#underWay = this.#write(lines, printed);
    try {
      await this.#underWay;
    } finally {
      this.#underWay = undefined;
    }
  }

  /**
   * After the signal: resolves when what is under way has gone out, or, where its reader pauses, after half a second: then
   * it counts as not printed. Only of a line that is longer than {@linkcode ATOMIC_BYTES} a part can have gone out.
   *
   * @throws as what is under way does, unless the reader has gone
   */
  async finish(): Promise<void> {
    if (this.#underWay === undefined) return;
    try {
      await settlesWithin(this.#underWay, { timeoutMs: FINISH_MS, clock: this.#clock });
    } catch (error) {
      // Why it ends is known already.
      if (!(error instanceof OutputClosedError)) throw error;
    }
  }

  async #write(lines: Uint8Array, printed: () => void): Promise<void> {
    for (let at = 0; at < lines.length; at += ATOMIC_BYTES) {
      await this.#output.relay(lines.subarray(at, at + ATOMIC_BYTES));
    }
    printed();
  }
}
