import { assertEquals } from "@std/assert";
import { printedEvents, type PrintedEventsOptions } from "../../../src/cli/output/printed_events.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Events 1 … of so many bytes each, as they are printed bare. */
function pieces(sizes: readonly number[], options: PrintedEventsOptions) {
  const events = sizes.map((size, index) => ({
    seq: index + 1,
    rest: encoder.encode(`${"x".repeat(size - 2)}\n`),
  }));
  return Array.from(printedEvents(events, options), ({ bytes, count, seq }) => ({
    text: decoder.decode(bytes),
    count,
    seq,
  }));
}

Deno.test("printedEvents() fills pieces with whole events; one that is too long has its own", () => {
  const got = pieces([5, 5, 5, 40, 10, 4], { epoch: undefined, maxBytes: 10 });
  assertEquals(
    got.map(({ text, count, seq }) => [text.length, count, seq]),
    [[10, 2, 2], [5, 1, 3], [40, 1, 4], [10, 1, 5], [4, 1, 6]],
  );
  assertEquals(got[0]!.text, "{xxx\n{xxx\n");
});

Deno.test("printedEvents() counts the cursors that it shows among the bytes", () => {
  const head = '{"cursor":"00000000000000aa:1",';
  const size = head.length + 4;
  assertEquals(pieces([5, 5, 5], { epoch: "00000000000000aa", maxBytes: 2 * size }), [
    { text: `${head}xxx\n${head.replace(":1", ":2")}xxx\n`, count: 2, seq: 2 },
    { text: `${head.replace(":1", ":3")}xxx\n`, count: 1, seq: 3 },
  ]);
});

Deno.test("printedEvents() of none are none", () => {
  assertEquals(pieces([], { epoch: undefined, maxBytes: 10 }), []);
});
