import type { Segment } from "./segment.ts";
import type { SegmentList } from "./segment_list.ts";

const NOTHING = new Uint8Array(0);

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
