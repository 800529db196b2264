import { assert, assertEquals } from "@std/assert";
import { ParseQueue } from "../../../src/sessions/screen/parse_queue.ts";

function textOf(item: ReturnType<ParseQueue["take"]>): string {
  assert(item instanceof Uint8Array);
  return new TextDecoder().decode(item);
}

function push(queue: ParseQueue, text: string): void {
  queue.push(new TextEncoder().encode(text));
}

Deno.test("take() returns bytes and calls in their order", () => {
  const queue = new ParseQueue();
  const call = () => {};
  push(queue, "one");
  push(queue, "two");
  queue.pushCall(call);
  push(queue, "three");
  assertEquals(queue.pendingBytes, 11);
  assertEquals(textOf(queue.take()), "onetwo");
  assertEquals(queue.take(), call);
  assertEquals(textOf(queue.take()), "three");
  assertEquals([queue.take(), queue.isEmpty, queue.pendingBytes], [undefined, true, 0]);
});

Deno.test("push() copies its argument", () => {
  const queue = new ParseQueue();
  const bytes = new TextEncoder().encode("before");
  queue.push(bytes);
  bytes.fill(0);
  assertEquals(textOf(queue.take()), "before");
});

Deno.test("ParseQueue splits long output and loses nothing", () => {
  const queue = new ParseQueue();
  const text = Array.from({ length: 20_000 }, (_, index) => `${index} `).join("");
  push(queue, text);
  assertEquals(queue.pendingBytes, text.length);
  let taken = "";
  while (!queue.isEmpty) taken += textOf(queue.take());
  assert(taken === text);
});

Deno.test("ParseQueue keeps the order when it never runs empty", () => {
  const queue = new ParseQueue();
  let taken = "";
  push(queue, "0 ");
  queue.pushCall(() => {});
  for (let round = 1; round < 500; round++) {
    push(queue, `${round} `);
    taken += textOf(queue.take());
    queue.pushCall(() => {});
    assert(typeof queue.take() === "function");
  }
  assertEquals(taken, Array.from({ length: 499 }, (_, index) => `${index} `).join(""));
  assertEquals(textOf(queue.take()), "499 ");
});
