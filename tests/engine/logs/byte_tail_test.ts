import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { ByteTail } from "../../../src/engine/logs/byte_tail.ts";
import { byteArrays } from "../../support/byte_pieces.ts";

Deno.test("ByteTail returns the last bytes, whatever the pieces", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 200 }), fc.array(byteArrays(500)), (maxBytes, pieces) => {
    const tail = new ByteTail(maxBytes);
    let all: number[] = [];
    for (const piece of pieces) {
      tail.push(piece);
      all = [...all, ...piece].slice(-maxBytes);
      assertEquals([...tail.bytes()], all);
    }
  }));
});

Deno.test("ByteTail keeps no buffer of its pieces, and does not change bytes that it has returned", () => {
  const tail = new ByteTail(4);
  const buffer = new Uint8Array([1, 2, 3, 4, 5]);
  tail.push(buffer.subarray(0, 3));
  const before = tail.bytes();
  buffer.fill(9);
  tail.push(buffer.subarray(0, 2));
  assertEquals([[...before], [...tail.bytes()]], [[1, 2, 3], [2, 3, 9, 9]]);
});
