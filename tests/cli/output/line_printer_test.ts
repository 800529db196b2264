import { assertEquals, assertRejects } from "@std/assert";
import {
  ATOMIC_BYTES,
  LinePrinter,
  printedEvents,
  type PrintedEventsOptions,
} from "../../../src/cli/output/line_printer.ts";
import { OutputClosedError } from "../../../src/cli/standard_streams.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { PausedPipe } from "../../support/paused_pipe.ts";
import { within } from "../../support/within.ts";

const LONG = `${"x".repeat(3 * ATOMIC_BYTES)}\n`;

/** A printer into a pipe with `room` bytes, and the lines that count as printed. */
function given(room: number) {
  const pipe = new PausedPipe(room);
  const ending = new AbortController();
  const clock = new FakeClock();
  const printer = new LinePrinter({ output: pipe, abort: ending.signal, clock });
  const printed: string[] = [];
  const print = (line: string) => printer.print(new TextEncoder().encode(line), () => printed.push(line));
  return { pipe, ending, clock, printer, printed, print };
}

const finished = (printer: LinePrinter) => within(5_000, "the end", printer.finish());

Deno.test("LinePrinter counts the write under way when the reader resumes, and starts no other", async () => {
  const { pipe, ending, clock, printer, printed, print } = given(2);
  await print("a\n");
  const second = print("b\n");
  await pipe.full;
  assertEquals(printed, ["a\n"]);
  ending.abort(new Error("ended"));
  const finish = finished(printer);
  pipe.read();
  await Promise.all([finish, second]);
  await assertRejects(() => print("c\n"), Error, "ended");
  assertEquals([printed, pipe.text, clock.pendingTimers], [["a\n", "b\n"], "a\nb\n", 0]);
});

Deno.test("LinePrinter neither prints nor counts lines that a paused reader does not read in time", async () => {
  const { pipe, ending, clock, printer, printed, print } = given(3);
  await print("a\n");
  const second = print("b\n");
  await pipe.full;
  ending.abort();
  const finish = finished(printer);
  clock.advance(500);
  await finish;
  assertEquals([printed, pipe.text], [["a\n"], "a\n"]);
  pipe.close(new OutputClosedError("closed"));
  await assertRejects(() => second, OutputClosedError);
});

Deno.test("LinePrinter prints a long line to its end, even after the abort", async () => {
  const { pipe, ending, printer, printed, print } = given(ATOMIC_BYTES);
  const line = print(LONG);
  await pipe.full;
  ending.abort();
  const finish = finished(printer);
  pipe.read();
  await finish;
  await line;
  assertEquals([printed.length, pipe.text === LONG], [1, true]);
});

Deno.test("LinePrinter.finish() ignores a closed output, and throws other failures", async () => {
  for (
    const [error, isThrown] of [[new OutputClosedError("closed"), false], [new Error("full"), true]] as const
  ) {
    const { pipe, ending, printer, print } = given(0);
    const line = assertRejects(() => print("a\n"), Error, error.message);
    await pipe.full;
    ending.abort();
    const finish = finished(printer);
    const end = isThrown ? assertRejects(() => finish, Error, "full") : finish;
    pipe.close(error);
    await Promise.all([line, end]);
  }
});

Deno.test("LinePrinter.finish() returns at once when no write is under way", async () => {
  const { ending, clock, printer, print } = given(10);
  await print("a\n");
  ending.abort();
  await finished(printer);
  assertEquals(clock.pendingTimers, 0);
});

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The pieces for events 1, 2, …, with these sizes in bytes when printed without a cursor. */
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

Deno.test("printedEvents() fills pieces with whole events; a longer event is a piece of its own", () => {
  const got = pieces([5, 5, 5, 40, 10, 4], { epoch: undefined, maxBytes: 10 });
  assertEquals(
    got.map(({ text, count, seq }) => [text.length, count, seq]),
    [[10, 2, 2], [5, 1, 3], [40, 1, 4], [10, 1, 5], [4, 1, 6]],
  );
  assertEquals(got[0]!.text, "{xxx\n{xxx\n");
});

Deno.test("printedEvents() includes the cursors in the size of a piece", () => {
  const head = '{"cursor":"00000000000000aa:1",';
  const size = head.length + 4;
  assertEquals(pieces([5, 5, 5], { epoch: "00000000000000aa", maxBytes: 2 * size }), [
    { text: `${head}xxx\n${head.replace(":1", ":2")}xxx\n`, count: 2, seq: 2 },
    { text: `${head.replace(":1", ":3")}xxx\n`, count: 1, seq: 3 },
  ]);
});

Deno.test("printedEvents() yields nothing without events", () => {
  assertEquals(pieces([], { epoch: undefined, maxBytes: 10 }), []);
});
