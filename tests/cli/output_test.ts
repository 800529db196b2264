import { assertEquals, assertRejects } from "@std/assert";
import { openOutput, OutputClosedError, type OutputStream } from "../../src/cli/output.ts";

const noEnv = () => undefined;

Deno.test("Output.write() goes on after a partial write and after a full non-blocking pipe", async () => {
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
  const stream: OutputStream = {
    isTerminal: () => false,
    writeSync: (bytes) => {
      const count = turns.shift()?.(bytes) ?? bytes.length;
      text += new TextDecoder().decode(bytes.subarray(0, count));
      return count;
    },
  };
  await openOutput(stream, noEnv).print("hello");
  assertEquals(text, "hello\n");
  assertEquals(turns, []);
});

Deno.test("Output.write() says that the reader has gone when the pipe is closed", async () => {
  const stream: OutputStream = {
    isTerminal: () => false,
    writeSync: () => {
      throw new Deno.errors.BrokenPipe("gone");
    },
  };
  await assertRejects(() => openOutput(stream, noEnv).print("hello"), OutputClosedError);
});

Deno.test("openOutput() colours nothing that is not a terminal", () => {
  const stream: OutputStream = { isTerminal: () => false, writeSync: (bytes) => bytes.length };
  assertEquals(openOutput(stream, noEnv).colors, false);
});
