import type { Segment } from "./segment.ts";
import type { SegmentList } from "./segment_list.ts";
import type { CloseReason, Feed } from "./subscription.ts";

const NOTHING = new Uint8Array(0);

/**
 * The feed of a subscriber that gets bare lines from now on. It reads the log's memory only, and what it returns is a view of
 * the log's segments. When eviction overtakes it, the rest of the line in which it stands is all that it can still return.
 */
export class LiveFeed implements Feed {
  readonly #segments: SegmentList;
  /** The segment in which it stands; undefined after eviction has overtaken it. */
  #segment: Segment | undefined;
  #offset: number;
  /** The rest of the line in which it was overtaken. */
  #lastLine: Uint8Array<ArrayBuffer> = NOTHING;
  #isFinishing = false;

  /** Starts where the next line will be appended. */
  constructor(segments: SegmentList) {
    this.#segments = segments;
    this.#segment = segments.tail;
    this.#offset = segments.tail.length;
  }

  get end(): CloseReason | undefined {
    if (this.#segment === undefined) return this.#lastLine.length === 0 ? "slow" : undefined;
    const isAtHead = this.#offset === this.#segment.length && this.#nextSegment === this.#segment;
    return this.#isFinishing && isAtHead ? "finished" : undefined;
  }

  get isLeftBehind(): boolean {
    return this.#nextSegment?.evicted ?? true;
  }

  next(maxBytes: number): Uint8Array<ArrayBuffer> | undefined {
    const segment = this.#nextSegment;
    if (segment === undefined || segment.evicted) {
      if (segment !== undefined) this.#lastLine = restOfLine(segment, this.#offset);
      this.#segment = undefined;
      return this.#lastLine.length > 0 ? this.#lastLine : undefined;
    }
    if (segment !== this.#segment) this.#offset = 0;
    this.#segment = segment;
    const end = Math.min(segment.published, this.#offset + maxBytes);
    return end > this.#offset ? segment.bytes.subarray(this.#offset, end) : undefined;
  }

  advance(bytes: number): void {
    if (this.#segment !== undefined) this.#offset += bytes;
    else this.#lastLine = this.#lastLine.subarray(bytes);
  }

  finish(): void {
    this.#isFinishing = true;
  }

  release(): void {
    this.#segment = undefined;
    this.#lastLine = NOTHING;
  }

  /** The segment of the next byte: the following one, if memory has it, when the current one was read to its end. */
  get #nextSegment(): Segment | undefined {
    if (this.#segment === undefined || this.#offset < this.#segment.length) return this.#segment;
    return this.#segments.after(this.#segment) ?? this.#segment;
  }
}

/** A copy, because the segment is no longer part of the log. */
function restOfLine(segment: Segment, offset: number): Uint8Array<ArrayBuffer> {
  return segment.bytes.slice(offset, segment.lineEnd(offset));
}
