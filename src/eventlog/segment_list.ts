import type { WireEvent } from "../protocol/wire_event.ts";
import { lineBytes, type LogLine, Segment } from "./segment.ts";

/** UTF-8 takes at most three bytes for one UTF-16 code unit. */
const MAX_BYTES_PER_UNIT = 3;

/**
 * The segments that are in memory, oldest first. Segments do not point at each other: one that a stalled write still
 * holds keeps nothing but itself alive.
 */
export class SegmentList {
  readonly #segments: Segment[];
  readonly #segmentBytes: number;
  #memoryBytes: number;
  #publishedSeq: number;

  /** @param options.firstSeq the `seq` that the first line will get. */
  constructor(options: { firstSeq: number; segmentBytes: number }) {
    this.#segmentBytes = options.segmentBytes;
    this.#segments = [
      new Segment({ number: 0, firstSeq: options.firstSeq, capacityBytes: options.segmentBytes }),
    ];
    this.#memoryBytes = options.segmentBytes;
    this.#publishedSeq = options.firstSeq - 1;
  }

  get oldest(): Segment {
    return this.#segments[0]!;
  }

  get tail(): Segment {
    return this.#segments.at(-1)!;
  }

  /** `seq` of the newest line that subscribers may see. */
  get publishedSeq(): number {
    return this.#publishedSeq;
  }

  /** Bytes that the segments take, used or not. */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /**
   * Writes a line at the end, in a new segment where it does not fit in the last one.
   * @param wholeJson as {@linkcode Segment.append} takes it
   */
  append(json: string, event: WireEvent, wholeJson?: string): void {
    const { tail } = this;
    const before = tail.memoryBytes;
    const isAppended = tail.append(json, event, wholeJson);
    this.#memoryBytes += tail.memoryBytes - before;
    if (isAppended) return;
    let capacityBytes = this.#segmentBytes;
    if (json.length * MAX_BYTES_PER_UNIT >= capacityBytes) {
      capacityBytes = Math.max(capacityBytes, lineBytes(json));
    }
    const segment = new Segment({
      number: tail.number + 1,
      firstSeq: tail.firstSeq + tail.lines,
      capacityBytes,
    });
    segment.append(json, event, wholeJson);
    this.#segments.push(segment);
    this.#memoryBytes += segment.memoryBytes;
  }

  /** The one that follows `segment`; none when that is the last, or when the follower has been evicted. */
  after(segment: Segment): Segment | undefined {
    return this.#segments[segment.number + 1 - this.oldest.number];
  }

  /** The lines that subscribers may not see yet. */
  *unpublished(): Generator<LogLine> {
    for (const segment of this.#segments) {
      if (segment.published < segment.length) yield* segment.linesFrom(segment.published);
    }
  }

  /** The published lines after `seq`, which must be one before the oldest or later. */
  *publishedAfter(seq: number): Generator<LogLine> {
    for (let next = seq + 1; next <= this.#publishedSeq;) {
      // Whoever reads is nearly always near the tail.
      const segment = this.#segments.findLast(({ firstSeq }) => firstSeq <= next)!;
      const end = Math.min(segment.firstSeq + segment.lines, this.#publishedSeq + 1);
      for (; next < end; next++) yield segment.line(next - segment.firstSeq);
    }
  }

  /** Lets subscribers see all there is. */
  publish(): void {
    this.#publishedSeq = this.tail.firstSeq + this.tail.lines - 1;
    for (let index = this.#segments.length - 1; index >= 0; index--) {
      const segment = this.#segments[index]!;
      if (segment.published === segment.length) return;
      segment.published = segment.length;
    }
  }

  /** Drops whole segments, oldest first, while they take more than `retainedBytes`; never the last one. */
  evict(retainedBytes: number): void {
    while (this.#memoryBytes > retainedBytes && this.#segments.length > 1) {
      const segment = this.#segments.shift()!;
      segment.evicted = true;
      this.#memoryBytes -= segment.memoryBytes;
    }
  }
}
