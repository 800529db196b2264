import { assertEquals, assertThrows } from "@std/assert";
import { matchesLabels, parseFilters } from "../../../src/embedded_engine/api/filters.ts";
import { HttpError } from "../../../src/embedded_engine/http/http_message.ts";

const GOOD: readonly (readonly [string | null, Record<string, string[]>])[] = [
  [null, {}],
  ["", {}],
  ["{}", {}],
  [`{"label":["a=b","c"],"type":[]}`, { label: ["a=b", "c"], type: [] }],
  [`{"label":{"a=b":true,"c":false}}`, { label: ["a=b"] }],
];

for (const [text, expected] of GOOD) {
  Deno.test(`parseFilters() reads ${text}`, () =>
    assertEquals(Object.fromEntries(parseFilters(text)), expected));
}

for (const text of ["bad", "[]", "null", "1", `{"a":"b"}`, `{"a":[1]}`, `{"a":null}`]) {
  Deno.test(`parseFilters() refuses ${text}`, () => {
    assertThrows(() => parseFilters(text), HttpError, "invalid filter");
  });
}

const LABELS = { a: "1", empty: "", eq: "x=y" };
for (
  const [wanted, matches] of [
    [[], true],
    [["a"], true],
    [["a=1", "empty"], true],
    [["empty="], true],
    [["eq=x=y"], true],
    [["a=2"], false],
    [["a", "b"], false],
    [["toString"], false],
  ] as const
) {
  Deno.test(`matchesLabels(${JSON.stringify(wanted)}) is ${matches}`, () => {
    assertEquals(matchesLabels(wanted, LABELS), matches);
  });
}
