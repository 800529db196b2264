import { assertEquals, assertThrows } from "@std/assert";
import { detachKeyBytes, DetachKeyFilter } from "../../../src/embedded_engine/containers/attach_session.ts";
import { HttpError } from "../../../src/embedded_engine/http/http_message.ts";

const KEYS: readonly (readonly [string, readonly number[]])[] = [
  ["", [16, 17]],
  ["ctrl-a", [1]],
  ["ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", [0, 27, 28, 29, 30, 31]],
  ["a,ctrl-z,Q", [97, 26, 81]],
];

for (const [text, keys] of KEYS) {
  Deno.test(`detachKeyBytes() reads ${JSON.stringify(text)}`, () => {
    assertEquals(detachKeyBytes(text), keys);
  });
}

for (const text of ["bogus", "ctrl-", "ctrl-1", "ctrl-aa", "a,", ",", "CTRL-a"]) {
  Deno.test(`detachKeyBytes() refuses ${JSON.stringify(text)}`, () => {
    const error = assertThrows(
      () => detachKeyBytes(text),
      HttpError,
      `Invalid detach keys (${text}) provided`,
    );
    assertEquals(error.status, 400);
  });
}

/** Keys, typed pieces, and the bytes of each that are passed on, with a bar after them where the keys were found. */
const TYPED: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["ab", ["xaby"], ["x|"]],
  ["ab", ["x", "a", "b"], ["x", "", "|"]],
  ["ab", ["a", "c"], ["", "ac"]],
  ["ab", ["a", "ac"], ["", "aac"]],
  ["ab", ["a", "ab"], ["", "a|"]],
  ["ab", ["aab"], ["a|"]],
  ["ab", ["aaab"], ["aa|"]],
  ["aab", ["aaab"], ["a|"]],
  ["a", ["xa"], ["x|"]],
  ["abc", ["ab", "ab", "c"], ["", "ab", "|"]],
];

for (const [keys, pieces, expected] of TYPED) {
  Deno.test(`DetachKeyFilter finds ${keys} in ${pieces.join(" ")}`, () => {
    const filter = new DetachKeyFilter([...new TextEncoder().encode(keys)]);
    const passed = pieces.map((piece) => {
      const { typed, detached } = filter.push(new TextEncoder().encode(piece));
      return new TextDecoder().decode(typed) + (detached ? "|" : "");
    });
    assertEquals(passed, [...expected]);
  });
}
