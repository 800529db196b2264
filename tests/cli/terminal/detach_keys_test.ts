import { assertEquals, assertThrows } from "@std/assert";
import {
  DEFAULT_DETACH_KEYS,
  DetachScanner,
  parseDetachKeys,
} from "../../../src/cli/terminal/detach_keys.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";

Deno.test("parseDetachKeys() returns the bytes that a terminal sends for the keys", () => {
  assertEquals([...parseDetachKeys(DEFAULT_DETACH_KEYS)], [0x00, 0x11]);
  assertEquals([...parseDetachKeys("ctrl-P  Ctrl-q")], [0x10, 0x11]);
  assertEquals([...parseDetachKeys("Ctrl-] d")], [0x1d, 0x64]);
});

Deno.test("parseDetachKeys() rejects an invalid key and quotes it", () => {
  for (const text of ["", "Ctrl-1", "F1", "ä", "Ctrl-", "a a a a a a a a a"]) {
    assertThrows(() => parseDetachKeys(text), ApexError, text);
  }
});

/** The forwarded part of each input, marked if it ends with a detach. */
function scanned(keys: string, inputs: readonly string[]): string[] {
  const scanner = new DetachScanner(parseDetachKeys(keys));
  return inputs.map((input) => {
    const { forward, detached } = scanner.scan(new TextEncoder().encode(input));
    return new TextDecoder().decode(forward) + (detached ? "<detached>" : "");
  });
}

const SCANS: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["Ctrl-Space Ctrl-q", ["ls\r", "\0", "\x11"], ["ls\r", "", "<detached>"]],
  ["Ctrl-Space Ctrl-q", ["a\0\x11b"], ["a<detached>"]],
  ["Ctrl-Space Ctrl-q", ["\0", "x"], ["", "\0x"]],
  ["Ctrl-Space Ctrl-q", ["\0\0", "\x11"], ["\0", "<detached>"]],
  ["Ctrl-Space Ctrl-q", ["\x11", "\0y\0z"], ["\x11", "\0y\0z"]],
  ["a a b", ["aaab"], ["a<detached>"]],
  ["a b a c", ["ababac"], ["ab<detached>"]],
];

for (const [keys, inputs, expected] of SCANS) {
  Deno.test(`DetachScanner for ${keys} removes the keys from ${JSON.stringify(inputs)}`, () => {
    assertEquals(scanned(keys, inputs), expected);
  });
}
