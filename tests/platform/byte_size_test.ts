import { assertEquals, assertThrows } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import { parseByteSize } from "../../src/platform/byte_size.ts";

const MIB = 1024 * 1024;
const sizes: [text: string, bytes: number][] = [
  ["0", 0],
  ["1024", 1024],
  ["7b", 7],
  ["1k", 1024],
  ["10kb", 10 * 1024],
  ["512m", 512 * MIB],
  ["512M", 512 * MIB],
  ["64MiB", 64 * MIB],
  ["64 mib", 64 * MIB],
  ["1g", 1024 * MIB],
  ["1.5G", 1536 * MIB],
  ["2t", 2 * 1024 * 1024 * MIB],
  ["1p", 1024 * 1024 * 1024 * MIB],
  ["1.3k", 1331],
];

for (const [text, bytes] of sizes) {
  Deno.test(`parseByteSize("${text}") is ${bytes}`, () => assertEquals(parseByteSize(text), bytes));
}

for (
  const text of [
    "",
    "12x",
    "m",
    "-1m",
    "1.m",
    ".5g",
    "1,5g",
    "512mm",
    "5i",
    "5ib",
    "1  m",
    " 1m",
    "1e3",
    "9999p",
    "NaN",
  ]
) {
  Deno.test(`parseByteSize("${text}") is an error that names it`, () => {
    const error = assertThrows(() => parseByteSize(text), ApexError, `invalid size ${JSON.stringify(text)}`);
    assertEquals(error.code, "usage");
  });
}
