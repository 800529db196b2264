import type { WireEvent } from "../protocol/wire_event.ts";
import { lineBytes, type LogLine, Segment } from "./segment.ts";

/**
 * The segments in memory, oldest first. Segments do not refer to each other, so a stalled write keeps only its own segment in
 * memory.
 */
export class SegmentList {
  readonly #segments: Segment[];
  readonly #segmentBytes: number;
  #memoryBytes: number;
  #publishedSeq: number;

  /** @param options.firstSeq the `seq` of the first line that will be appended */
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

  /** `seq` of the newest line that subscribers may read. */
  get publishedSeq(): number {
    return this.#publishedSeq;
  }

  /** The size of all segments, used or not. */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /**
   * Appends a line, to a new segment when it does not fit into the last one.
   * Parameters as for {@linkcode Segment.append}.
   */
  append(json: string, event: WireEvent, wholeJson?: string): void {
    const { tail } = this;
    const before = tail.memoryBytes;
    const isAppended = tail.append(json, event, wholeJson);
    this.#memoryBytes += tail.memoryBytes - before;
    if (isAppended) return;
    const segment = new Segment({
      number: tail.number + 1,
      firstSeq: tail.firstSeq + tail.lines,
      capacityBytes: Math.max(this.#segmentBytes, lineBytes(json)),
    });
    segment.append(json, event, wholeJson);
    this.#segments.push(segment);
    this.#memoryBytes += segment.memoryBytes;
  }

  /** The segment after `segment`; undefined when `segment` is the last, or the one after it was evicted. */
  after(segment: Segment): Segment | undefined {
    return this.#segments[segment.number + 1 - this.oldest.number];
  }

  /** The lines that are appended and not yet published. */
  *unpublished(): Generator<LogLine> {
    for (const segment of this.#segments) {
      if (segment.published < segment.length) yield* segment.linesFrom(segment.published);
    }
  }

  /** The published lines after `seq`. The line after `seq` must not have been evicted. */
  *publishedAfter(seq: number): Generator<LogLine> {
    for (let next = seq + 1; next <= this.#publishedSeq;) {
      // Readers are nearly always near the tail.
      const segment = this.#segments.findLast(({ firstSeq }) => firstSeq <= next)!;
      const end = Math.min(segment.firstSeq + segment.lines, this.#publishedSeq + 1);
      for (; next < end; next++) yield segment.line(next - segment.firstSeq);
    }
  }

  /** Lets subscribers read everything that is appended. */
  publish(): void {
    this.#publishedSeq = this.tail.firstSeq + this.tail.lines - 1;
    for (let index = this.#segments.length - 1; index >= 0; index--) {
      const segment = this.#segments[index]!;
      if (segment.published === segment.length) return;
      segment.published = segment.length;
    }
  }

  /** Drops whole segments, oldest first, until at most `retainedBytes` remain; never the last one. */
  evict(retainedBytes: number): void {
    while (this.#memoryBytes > retainedBytes && this.#segments.length > 1) {
      const segment = this.#segments.shift()!;
      segment.evicted = true;
      this.#memoryBytes -= segment.memoryBytes;
    }
  }
}
