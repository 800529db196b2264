import type { LogCursor } from "./log_cursor.ts";
import type { CloseReason, Feed } from "./subscription.ts";

const NOTHING = new Uint8Array(0);

/**
 * The bare lines, straight from the log's memory: what is written is a view of its segments. When the log's tail has
 * overtaken it, the line in which it stands is all that is left.
 */
export class BareFeed implements Feed {
  #cursor: LogCursor | undefined;
  /** What is missing of the line in which it was overtaken. */
  #lastLine: Uint8Array<ArrayBuffer> = NOTHING;
  #isFinishing = false;

  constructor(cursor: LogCursor) {
    this.#cursor = cursor;
  }

  get end(): CloseReason | undefined {
    if (this.#cursor === undefined) return this.#lastLine.length === 0 ? "slow" : undefined;
    return this.#isFinishing && this.#cursor.atHead ? "finished" : undefined;
  }

  get isLeftBehind(): boolean {
    return this.#cursor === undefined || this.#cursor.fellOff;
  }

  next(maxBytes: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.#cursor?.fellOff) {
      this.#lastLine = this.#cursor.restOfLine();
      this.#cursor = undefined;
    }
    if (this.#cursor !== undefined) return this.#cursor.peek(maxBytes);
    return this.#lastLine.length > 0 ? this.#lastLine : undefined;
  }

  advance(bytes: number): void {
    if (this.#cursor !== undefined) this.#cursor.advance(bytes);
    else this.#lastLine = this.#lastLine.subarray(bytes);
  }

  finish(): void {
    this.#isFinishing = true;
  }

  release(): void {
    this.#cursor = undefined;
  }
}
