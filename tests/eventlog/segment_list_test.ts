import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { LiveFeed } from "../../src/eventlog/live_feed.ts";
import { SegmentList } from "../../src/eventlog/segment_list.ts";
import type { WireEvent } from "../../src/protocol/wire_event.ts";
import { eventOf, eventOfBytes, lineOf } from "../support/daemons/wire_events.ts";

function append(segments: SegmentList, event: WireEvent): void {
  segments.append(JSON.stringify(event), event);
}

Deno.test("SegmentList.append() creates a segment for a line that is longer than a segment", () => {
  const segments = new SegmentList({ firstSeq: 1, segmentBytes: 1_000 });
  const long = eventOf("é".repeat(2_000));
  for (const event of [eventOfBytes(200), long, eventOfBytes(200)]) append(segments, event);
  assertEquals([segments.tail.number, segments.tail.firstSeq], [2, 3]);
  const bytes = new TextEncoder().encode(lineOf(long));
  const middle = segments.after(segments.oldest)!;
  assertEquals(middle.bytes, bytes);
  assertEquals(segments.memoryBytes, 2_000 + bytes.length);
});

Deno.test("SegmentList.unpublished() yields each line once, across segments", () => {
  const segments = new SegmentList({ firstSeq: 5, segmentBytes: 500 });
  const seen: number[] = [];
  for (let n = 0; n < 20; n++) {
    append(segments, eventOfBytes(200));
    if (n % 3 !== 0) continue;
    for (const line of segments.unpublished()) seen.push(line.seq);
    segments.publish();
  }
  assertEquals(seen, Array.from({ length: 19 }, (_, n) => n + 5));
});

Deno.test("SegmentList.evict() drops the oldest segments down to the limit, and keeps the last one", () => {
  const segments = new SegmentList({ firstSeq: 1, segmentBytes: 1_000 });
  const { oldest } = segments;
  for (let n = 0; n < 40; n++) append(segments, eventOfBytes(250));
  assertEquals(segments.memoryBytes, 10_000);
  segments.evict(4_000);
  assertEquals([segments.memoryBytes, segments.oldest.firstSeq], [4_000, 25]);
  assert(oldest.evicted);
  assertStrictEquals(segments.after(oldest), undefined);
  segments.evict(0);
  assertStrictEquals(segments.oldest, segments.tail);
});

Deno.test("LiveFeed.next() returns published bytes, and only the rest of the line when later lines are evicted", () => {
  const segments = new SegmentList({ firstSeq: 1, segmentBytes: 1_000 });
  const feed = new LiveFeed(segments);
  append(segments, eventOfBytes(500));
  assertStrictEquals(feed.next(64), undefined);
  append(segments, eventOfBytes(500));
  append(segments, eventOfBytes(500));
  segments.publish();
  assertEquals(feed.next(64)?.length, 64);
  const behind = new LiveFeed(segments);
  feed.advance(1_000);
  segments.evict(1_000);
  // It has read the evicted segment to its end.
  assertEquals([feed.isLeftBehind, feed.next(9_999)?.length], [false, 500]);
  feed.advance(100);
  for (let n = 0; n < 2; n++) append(segments, eventOfBytes(900));
  segments.evict(1_000);
  assertEquals([feed.isLeftBehind, feed.next(9_999)?.length, feed.end], [true, 400, undefined]);
  feed.advance(400);
  assertEquals([feed.next(9_999), feed.end], [undefined, "slow"]);
  assertEquals([behind.isLeftBehind, behind.next(9_999), behind.end], [true, undefined, "slow"]);
});
