import { assertEquals } from "@std/assert";
import { ByteTail } from "../../../src/engine/logs/byte_tail.ts";
import { randomOf } from "../../support/random.ts";

Deno.test("ByteTail has the last bytes, whatever the pieces", () => {
  const random = randomOf(7);
  for (const maxBytes of [1, 10, 1_000, 3_000]) {
    const tail = new ByteTail(maxBytes);
    let all: number[] = [];
    for (let round = 0; round < 300; round++) {
      const longest = random() < 0.1 ? 3 * maxBytes : 20;
      const piece = Array.from({ length: Math.floor(random() * longest) }, () => Math.floor(random() * 256));
      tail.push(new Uint8Array(piece));
      all = [...all, ...piece].slice(-maxBytes);
      assertEquals([...tail.bytes()], all, `${maxBytes}, round ${round}`);
    }
  }
});

Deno.test("ByteTail does not keep the buffers that its pieces are of, nor change what it gave away", () => {
  const tail = new ByteTail(4);
  const buffer = new Uint8Array([1, 2, 3, 4, 5]);
  tail.push(buffer.subarray(0, 3));
  const before = tail.bytes();
  buffer.fill(9);
  tail.push(buffer.subarray(0, 2));
  assertEquals([[...before], [...tail.bytes()]], [[1, 2, 3], [2, 3, 9, 9]]);
});
