import { assertEquals, assertRejects } from "@std/assert";
import {
  openInput,
  openOutput,
  OutputClosedError,
  type OutputStream,
} from "../../src/cli/standard_streams.ts";

const noEnv = () => undefined;

/** A stream that is not a terminal, with `write` for both kinds of writes. */
function streamOf(write: (bytes: Uint8Array) => number): OutputStream {
  return {
    isTerminal: () => false,
    writeSync: write,
    // deno-lint-ignore require-await -- its errors must become rejections
    write: async (bytes) => write(bytes),
  };
}

for (const way of ["write", "relay"] as const) {
  Deno.test(`Output.${way}() continues after a partial write, and after a full non-blocking pipe`, async () => {
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

  Deno.test(`Output.${way}() throws OutputClosedError when the pipe is closed`, async () => {
    const stream = streamOf(() => {
      throw new Deno.errors.BrokenPipe("closed");
    });
    await assertRejects(() => openOutput(stream, noEnv)[way](new Uint8Array(1)), OutputClosedError);
  });
}

Deno.test("openOutput() enables no colours without a terminal", () => {
  assertEquals(openOutput(streamOf((bytes) => bytes.length), noEnv).colors, false);
});

function inputOf(text: string) {
  const bytes = new TextEncoder().encode(text);
  let at = 0;
  return openInput({
    isTerminal: () => false,
    read: (buffer) => {
      if (at === bytes.length) return Promise.resolve(null);
      const count = Math.min(buffer.length, bytes.length - at);
      buffer.set(bytes.subarray(at, at += count));
      return Promise.resolve(count);
    },
  });
}

Deno.test("Input.readLine() returns each line, an unfinished last one, then null", async () => {
  const input = inputOf("yes\n\nnö");
  assertEquals(await input.readLine(), "yes");
  assertEquals(await input.readLine(), "");
  assertEquals(await input.readLine(), "nö");
  assertEquals(await input.readLine(), null);
});

Deno.test("Input.readLine() cuts an endless line", async () => {
  assertEquals((await inputOf("x".repeat(10_000)).readLine())?.length, 4_096);
});
