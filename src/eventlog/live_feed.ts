import type { Segment } from "./segment.ts";
import type { SegmentList } from "./segment_list.ts";
import type { CloseReason, Feed } from "./subscription.ts";

const NOTHING = new Uint8Array(0);

/**
 * The feed of a subscriber that gets bare lines from now on. It reads the log's memory only, and what it returns is a view of
 * the log's segments. When eviction overtakes it, the rest of the line in which it stands is all that it can still return.
 */
export class LiveFeed implements Feed {
  /** Undefined after eviction has overtaken it, or after {@linkcode LiveFeed.release}. */
  #cursor: LogCursor | undefined;
  /** The rest of the line in which it was overtaken. */
  #lastLine: Uint8Array<ArrayBuffer> = NOTHING;
  #isFinishing = false;

  constructor(cursor: LogCursor) {
    this.#cursor = cursor;
  }

  get end(): CloseReason | undefined {
    if (this.#cursor === undefined) return this.#lastLine.length === 0 ? "slow" : undefined;
    return this.#isFinishing && this.#cursor.isAtHead ? "finished" : undefined;
  }

  get isLeftBehind(): boolean {
    return this.#cursor === undefined || this.#cursor.isEvicted;
  }

  next(maxBytes: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.#cursor?.isEvicted) {
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

/** A reading position in the log's memory. */
export class LogCursor {
  readonly #segments: SegmentList;
  #segment: Segment;
  #offset: number;

  /** A cursor at the place where the next line will be appended. */
  static atHead(segments: SegmentList): LogCursor {
    return new LogCursor(segments, segments.tail, segments.tail.length);
  }

  private constructor(segments: SegmentList, segment: Segment, offset: number) {
    this.#segments = segments;
    this.#segment = segment;
    this.#offset = offset;
  }

  /** Its segment was evicted: the lines after the current one are lost to it. */
  get isEvicted(): boolean {
    return this.#nextSegment.evicted;
  }

  /** It has read everything, including what is appended and not yet published. */
  get isAtHead(): boolean {
    return this.#nextSegment === this.#segment && this.#offset === this.#segment.length;
  }

  /** A view of the next published bytes, at most `maxBytes`; undefined when it has caught up. */
  peek(maxBytes: number): Uint8Array<ArrayBuffer> | undefined {
    const segment = this.#nextSegment;
    if (segment !== this.#segment) this.#offset = 0;
    this.#segment = segment;
    const end = Math.min(segment.published, this.#offset + maxBytes);
    return end > this.#offset ? segment.bytes.subarray(this.#offset, end) : undefined;
  }

  /** Moves past `bytes` of what {@linkcode LogCursor.peek} returned. */
  advance(bytes: number): void {
    this.#offset += bytes;
  }

  /** A copy of the rest of the line in which it stands; empty between two lines. */
  restOfLine(): Uint8Array<ArrayBuffer> {
    const end = this.#segment.lineEnd(this.#offset);
    return end > this.#offset ? this.#segment.bytes.slice(this.#offset, end) : NOTHING;
  }

  /** The segment of the next byte: the following one, if memory has it, when the current one was read to its end. */
  get #nextSegment(): Segment {
    if (this.#offset < this.#segment.length) return this.#segment;
    return this.#segments.after(this.#segment) ?? this.#segment;
  }
}
