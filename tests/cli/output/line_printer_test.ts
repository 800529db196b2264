import { assertEquals, assertRejects } from "@std/assert";
import { ATOMIC_BYTES, LinePrinter } from "../../../src/cli/output/line_printer.ts";
import { OutputClosedError } from "../../../src/cli/output/output.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { PausedPipe } from "../../support/sessions/paused_pipe.ts";
import { within } from "../../support/within.ts";

const LONG = `${"x".repeat(3 * ATOMIC_BYTES)}\n`;

/** A printer into a pipe with so much room, and which of its lines have gone out. */
function given(room: number) {
  const pipe = new PausedPipe(room);
  const ending = new AbortController();
  const clock = new FakeClock();
  const printer = new LinePrinter({ output: pipe, signal: ending.signal, clock });
  const printed: string[] = [];
  const print = (line: string) => printer.print(new TextEncoder().encode(line), () => printed.push(line));
  return { pipe, ending, clock, printer, printed, print };
}

const finished = (printer: LinePrinter) => within(5_000, "the end", printer.finish());

Deno.test("LinePrinter counts what was under way at the end when the reader goes on, and begins nothing more", async () => {
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

Deno.test("LinePrinter neither prints nor counts what a paused reader does not take in time", async () => {
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

Deno.test("LinePrinter prints a long line to its end, also after the signal", async () => {
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

Deno.test("LinePrinter.finish() has nothing to say when the reader goes meanwhile, and tells of other failures", async () => {
  for (
    const [error, isTold] of [[new OutputClosedError("closed"), false], [new Error("full"), true]] as const
  ) {
    const { pipe, ending, printer, print } = given(0);
    const line = assertRejects(() => print("a\n"), Error, error.message);
    await pipe.full;
    ending.abort();
    const finish = finished(printer);
    const end = isTold ? assertRejects(() => finish, Error, "full") : finish;
    pipe.close(error);
    await Promise.all([line, end]);
  }
});

Deno.test("LinePrinter.finish() returns at once when nothing is under way", async () => {
  const { ending, clock, printer, print } = given(10);
  await print("a\n");
  ending.abort();
  await finished(printer);
  assertEquals(clock.pendingTimers, 0);
});
