import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { HttpError } from "../../../src/embedded_engine/http/http_message.ts";
import {
  checkContainerName,
  randomId,
  randomName,
  shortId,
} from "../../../src/embedded_engine/spec/names.ts";

const NAMES: readonly (readonly [string, boolean])[] = [
  ["ab", true],
  ["a1", true],
  ["0-_.x", true],
  ["apex-task-build.42", true],
  ["a", false],
  ["", false],
  ["-a", false],
  [".a", false],
  ["a b", false],
  ["a/b", false],
  ["a\n", false],
  ["ä1", false],
];

for (const [name, isGood] of NAMES) {
  Deno.test(`checkContainerName() ${isGood ? "accepts" : "refuses"} ${JSON.stringify(name)}`, () => {
    if (isGood) checkContainerName(name);
    else assertThrows(() => checkContainerName(name), HttpError, `Invalid container name (${name})`);
  });
}

Deno.test("randomId() returns 64 hex digits, different each time", () => {
  const [one, two] = [randomId(), randomId()];
  assertMatch(one, /^[0-9a-f]{64}$/);
  assertEquals(one === two, false);
  assertEquals(shortId(one), one.slice(0, 12));
});

Deno.test("randomName() returns valid names, with a number where the plain one is taken", () => {
  const name = randomName(() => false);
  assertMatch(name, /^[a-z]+_[a-z]+$/);
  checkContainerName(name);
  assertMatch(randomName((candidate) => !/\d$/.test(candidate)), /^[a-z]+_[a-z]+\d+$/);
});
