import { assertEquals } from "@std/assert";
import { openInput } from "../../../src/cli/terminal/input.ts";

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

Deno.test("Input.readLine() gives lines, a last one without its end, then null", async () => {
  const input = inputOf("yes\n\nnö");
  assertEquals(await input.readLine(), "yes");
  assertEquals(await input.readLine(), "");
  assertEquals(await input.readLine(), "nö");
  assertEquals(await input.readLine(), null);
});

Deno.test("Input.readLine() does not collect a line without end", async () => {
  assertEquals((await inputOf("x".repeat(10_000)).readLine())?.length, 4_096);
});
