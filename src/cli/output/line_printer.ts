/**
 * Prints lines of events such that it is always known which of them have reached the reader. A blocked write does not
 * report how far it got, so no write is longer than a pipe accepts as a whole, and none starts after the abort.
 */
import { concat } from "@std/bytes/concat";
import type { EventLine } from "../../client/line_stream.ts";
import { settlesWithin } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import { type Output, OutputClosedError } from "../standard_streams.ts";

/** `PIPE_BUF`: a pipe accepts a write of up to this size as a whole, or blocks it as a whole. */
export const ATOMIC_BYTES = Deno.build.os === "linux" ? 4096 : 512;
/** More than enough for a reader that is reading; a paused reader delays the end by this much. */
const FINISH_MS = 500;

export interface LinePrinterOptions {
  readonly output: Pick<Output, "relay">;
  /** Once aborted, no further write starts. */
  readonly abort: AbortSignal;
  readonly clock: Clock;
}

export class LinePrinter {
  readonly #options: LinePrinterOptions;
  #underWay: Promise<void> | undefined;

  constructor(options: LinePrinterOptions) {
    this.#options = options;
  }

  /**
   * Prints whole lines: at most {@linkcode ATOMIC_BYTES} of them, or a single line of any length.
   *
   * @param printed called when all of them are written
   * @throws as {@linkcode Output.relay} and `printed` do; the reason of the abort, if that comes before the first write
   */
  async print(lines: Uint8Array, printed: () => void): Promise<void> {
    this.#options.abort.throwIfAborted();
    this.#underWay = this.#write(lines, printed);
    try {
      await this.#underWay;
    } finally {
      this.#underWay = undefined;
    }
  }

  /**
   * To be called after the abort. Resolves when the write under way is done; or after half a second if the reader is
   * paused: these lines then count as not printed. Only of a line longer than {@linkcode ATOMIC_BYTES} a part may have been
   * written.
   *
   * @throws as the write under way does, except when the reader has closed the output
   */
  async finish(): Promise<void> {
    if (this.#underWay === undefined) return;
    try {
      await settlesWithin(this.#underWay, { timeoutMs: FINISH_MS, clock: this.#options.clock });
    } catch (error) {
      // The abort has its own reason, which is the one to report.
      if (!(error instanceof OutputClosedError)) throw error;
    }
  }

  async #write(lines: Uint8Array, printed: () => void): Promise<void> {
    for (let at = 0; at < lines.length; at += ATOMIC_BYTES) {
      await this.#options.output.relay(lines.subarray(at, at + ATOMIC_BYTES));
    }
    printed();
  }
}

export interface PrintedEventsOptions {
  /** The epoch of the cursors to print; undefined prints no cursors. */
  readonly epoch: string | undefined;
  /** The limit for a piece; a longer event becomes a piece of its own. */
  readonly maxBytes: number;
}

const encoder = new TextEncoder();
const BRACE = encoder.encode("{");

/**
 * Formats events piece by piece: as bare lines, or with the cursor as their first key. `seq` is that of the last event of
 * the piece.
 */
export function* printedEvents(
  events: readonly EventLine[],
  { epoch, maxBytes }: PrintedEventsOptions,
): Generator<{ readonly bytes: Uint8Array; readonly count: number; readonly seq: number }> {
  let parts: Uint8Array[] = [];
  let [length, count, last] = [0, 0, 0];
  for (const { seq, rest } of events) {
    const head = epoch === undefined ? BRACE : encoder.encode(`{"cursor":"${epoch}:${seq}",`);
    if (count > 0 && length + head.length + rest.length > maxBytes) {
      yield { bytes: concat(parts), count, seq: last };
      [parts, length, count] = [[], 0, 0];
    }
    parts.push(head, rest);
    length += head.length + rest.length;
    count++;
    last = seq;
  }
  if (count > 0) yield { bytes: concat(parts), count, seq: last };
}
