import type { Segment } from "./segment.ts";
import type { SegmentList } from "./segment_list.ts";
import type { CloseReason, Feed } from "./subscription.ts";

const NOTHING = new Uint8Array(0);

/**
 * The bare lines, straight from the log's memory: what is written is a view of its segments. When the log's tail has
 * overtaken it, the line in which it stands is all that is left.
 */
export class LiveFeed implements Feed {
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

/** A position in the log, and the reading from there on. All that a subscriber costs the log. */
export class LogCursor {
  readonly #segments: SegmentList;
  #segment: Segment;
  #offset: number;

  /** Stands where the next line will be appended. */
  static atHead(segments: SegmentList): LogCursor {
    return new LogCursor(segments, segments.tail, segments.tail.length);
  }

  private constructor(segments: SegmentList, segment: Segment, offset: number) {
    this.#segments = segments;
    this.#segment = segment;
    this.#offset = offset;
  }

  /** What it stands on has left memory: the lines after the current one are lost to it. */
  get fellOff(): boolean {
    this.#settle();
    return this.#segment.evicted;
  }

  /** Nothing is left for it, not even what is appended but not yet published. */
  get atHead(): boolean {
    this.#settle();
    return this.#offset === this.#segment.length;
  }

  /** A view of the next published bytes, at most `maxBytes`; none when it has caught up. */
  peek(maxBytes: number): Uint8Array<ArrayBuffer> | undefined {
    this.#settle();
    const end = Math.min(this.#segment.published, this.#offset + maxBytes);
    return end > this.#offset ? this.#segment.bytes.subarray(this.#offset, end) : undefined;
  }

  /** Moves on by what was written of the last {@linkcode peek}. */
  advance(bytes: number): void {
    this.#offset += bytes;
  }

  /** A copy of what is missing of the line that it stands in; empty between two lines. */
  restOfLine(): Uint8Array<ArrayBuffer> {
    const end = this.#segment.lineEnd(this.#offset);
    return end > this.#offset ? this.#segment.bytes.slice(this.#offset, end) : NOTHING;
  }

  /** At the end of a full segment the position is the start of the next one, if that is still there. */
  #settle(): void {
    while (this.#offset === this.#segment.length) {
      const next = this.#segments.after(this.#segment);
      if (next === undefined) return;
      this.#segment = next;
      this.#offset = 0;
    }
  }
}
