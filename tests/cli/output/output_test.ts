import { assertEquals, assertRejects } from "@std/assert";
import { openOutput, OutputClosedError, type OutputStream } from "../../../src/cli/output/output.ts";

const noEnv = () => undefined;

/** A stream that is no terminal, both of whose ways of writing do this. */
function streamOf(write: (bytes: Uint8Array) => number): OutputStream {
  return {
    isTerminal: () => false,
    writeSync: write,
    // deno-lint-ignore require-await -- what it throws must become a rejection
    write: async (bytes) => write(bytes),
  };
}

for (const way of ["write", "relay"] as const) {
  Deno.test(`Output.${way}() goes on after a partial write and after a full non-blocking pipe`, async () => {
    let text = "";
    const turns: ((bytes: Uint8Array) => number)[] = [
      () => {
        throw new Deno.errors.WouldBlock("full");
      },
      () => 1,
      () => {
        throw new Deno.errors.WouldBlock("full");
      },
      (bytes) => bytes.length,
    ];
    const stream = streamOf((bytes) => {
      const count = turns.shift()?.(bytes) ?? bytes.length;
      text += new TextDecoder().decode(bytes.subarray(0, count));
      return count;
    });
    await openOutput(stream, noEnv)[way](new TextEncoder().encode("hello\n"));
    assertEquals(text, "hello\n");
    assertEquals(turns, []);
  });

  Deno.test(`Output.${way}() says that the reader has gone when the pipe is closed`, async () => {
    const stream = streamOf(() => {
      throw new Deno.errors.BrokenPipe("gone");
    });
    await assertRejects(() => openOutput(stream, noEnv)[way](new Uint8Array(1)), OutputClosedError);
  });
}

Deno.test("openOutput() colours nothing that is not a terminal", () => {
  assertEquals(openOutput(streamOf((bytes) => bytes.length), noEnv).colors, false);
});
