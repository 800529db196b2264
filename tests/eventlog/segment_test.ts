import { assertEquals } from "@std/assert";
import { Segment } from "../../src/eventlog/segment.ts";
import { eventOf, eventOfBytes, lineOf } from "../support/daemons/wire_events.ts";

function segmentOf(sizes: readonly number[], capacityBytes = 10_000): Segment {
  const segment = new Segment({ number: 0, firstSeq: 7, capacityBytes });
  for (const size of sizes) {
    const event = eventOfBytes(size);
    assertEquals(segment.append(JSON.stringify(event), event), true);
  }
  return segment;
}

Deno.test("Segment.append() refuses a line when only its newline does not fit", () => {
  const event = eventOfBytes(200);
  const segment = new Segment({ number: 0, firstSeq: 1, capacityBytes: 199 });
  assertEquals(segment.append(JSON.stringify(event), event), false);
  const exact = new Segment({ number: 0, firstSeq: 1, capacityBytes: 200 });
  assertEquals(exact.append(JSON.stringify(event), event), true);
  assertEquals(new TextDecoder().decode(exact.bytes), lineOf(event));
});

Deno.test("Segment.append() refuses a line whose last character fits only in part", () => {
  const event = eventOf("ééé");
  const bytes = new TextEncoder().encode(lineOf(event)).length;
  const segment = new Segment({ number: 0, firstSeq: 1, capacityBytes: bytes - 1 });
  assertEquals(segment.append(JSON.stringify(event), event), false);
  assertEquals(segment.length, 0);
});

Deno.test("Segment.append() appends the whole line or nothing, for every size of the rest", () => {
  // Often enough to reach the runtime's optimized encoder, which misreports in Deno 2.4 what it has read.
  for (let length = 0; length < 250; length++) {
    const event = eventOf("é".repeat(length));
    const json = JSON.stringify(event);
    const { length: bytes } = new TextEncoder().encode(lineOf(event));
    for (let capacityBytes = json.length - 2; capacityBytes <= bytes + 2; capacityBytes++) {
      const segment = new Segment({ number: 0, firstSeq: 1, capacityBytes });
      assertEquals(
        segment.append(json, event),
        capacityBytes >= bytes,
        `${bytes} bytes into ${capacityBytes}`,
      );
    }
  }
});

Deno.test("Segment.lineEnd() returns the end of the line that contains the byte before the offset", () => {
  const segment = segmentOf([200, 300, 250]);
  const table = [[0, 0], [1, 200], [199, 200], [200, 200], [201, 500], [500, 500], [501, 750], [
    750,
    750,
  ]] as const;
  for (const [offset, end] of table) assertEquals(segment.lineEnd(offset), end, `offset ${offset}`);
});

Deno.test("Segment.linesFrom() yields the fields and bytes of each line from the offset on, after the index has grown", () => {
  const count = 5_000;
  const segment = new Segment({ number: 3, firstSeq: 7, capacityBytes: 1024 * 1024 });
  for (let n = 0; n < count; n++) {
    const event = { ...eventOf(`${n}`), taskId: `t${n}`, containerId: `c${n}` };
    segment.append(JSON.stringify(event), event);
  }
  const lines = [...segment.linesFrom(0)];
  assertEquals(lines.length, count);
  let offset = 0;
  for (const [n, line] of lines.entries()) {
    assertEquals([line.seq, line.taskId, line.containerId], [7 + n, `t${n}`, `c${n}`]);
    assertEquals(JSON.parse(new TextDecoder().decode(line.bytes)).error, `${n}`);
    if (n % 1_000 === 999) assertEquals([...segment.linesFrom(offset)][0]?.seq, line.seq);
    offset += line.bytes.length;
  }
});
