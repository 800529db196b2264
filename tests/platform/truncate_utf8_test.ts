import { assertEquals } from "@std/assert";
import { truncateUtf8 } from "../../src/platform/byte_size.ts";

const CASES: readonly (readonly [string, number, string])[] = [
  ["", 4, ""],
  ["abcd", 4, "abcd"],
  ["abcde", 4, "abcd"],
  ["äöü", 4, "äö"],
  ["äöü", 5, "äö"],
  ["a漢字", 6, "a漢"],
  ["😀😀", 7, "😀"],
  ["😀", 3, ""],
];

for (const [text, maxBytes, expected] of CASES) {
  Deno.test(`truncateUtf8() truncates ${JSON.stringify(text)} to ${JSON.stringify(expected)} in ${maxBytes} bytes`, () => {
    assertEquals(truncateUtf8(text, maxBytes), expected);
  });
}

Deno.test("truncateUtf8() truncates long text of one and of two bytes per letter exactly", () => {
  for (let length = 4_000; length < 4_200; length++) {
    assertEquals(truncateUtf8("é".repeat(length), 4_096).length, Math.min(length, 2_048));
    assertEquals(truncateUtf8("e".repeat(length), 4_096).length, Math.min(length, 4_096));
  }
});
