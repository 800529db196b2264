import { assertEquals, assertThrows } from "@std/assert";
import {
  matchesEventFilters,
  matchesLabels,
  parseFilters,
} from "../../../src/embedded_engine/api/filters.ts";
import type { EngineMessage } from "../../../src/embedded_engine/containers/event_history.ts";
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

const ID = "0123456789ab".padEnd(64, "0");

function message(action: string): EngineMessage {
  return {
    status: action,
    id: ID,
    from: "app:1",
    Type: "container",
    Action: action,
    Actor: { ID, Attributes: { name: "web-1", image: "reg:5000/app:1", team: "a", bare: "" } },
    scope: "local",
  };
}

/** Recorded from Docker 20.10 (engine-events fixtures), or read in its `daemon/events/filter.go`. */
const CASES: readonly (readonly [string, Record<string, string[]>, boolean])[] = [
  ["die", {}, true],
  ["die", { type: ["container"] }, true],
  ["die", { type: ["image"] }, false],
  ["die", { type: ["image", "container"] }, true],
  ["die", { event: ["start", "die"] }, true],
  ["die", { event: ["start"] }, false],
  ["die", { event: ["di"] }, false],
  ["health_status: healthy", { event: ["health_status"] }, true],
  ["health_status: healthy", { event: ["health_status: healthy"] }, true],
  ["die", { event: ["health_status", "di"] }, true], // The bare word of an action with a value turns all of them into prefixes.
  ["exec_start: sh -c x", { event: ["exec_start"] }, true],
  ["die", { container: ["web-1"] }, true],
  ["die", { container: ["web"] }, true],
  ["die", { container: [ID.slice(0, 8)] }, true],
  ["die", { container: ["eb-1"] }, false],
  ["die", { image: ["reg:5000/app:1"] }, true],
  ["die", { image: ["reg:5000/app"] }, true],
  ["die", { image: ["app"] }, false],
  ["die", { label: ["team=a", "bare"] }, true],
  ["die", { label: ["team=a", "team=b"] }, false],
  ["die", { network: ["x"] }, false],
  ["die", { network: [] }, true],
  ["die", { scope: ["local"] }, true],
  ["die", { scope: ["swarm"] }, false],
  ["die", { nosuch: ["x"] }, true],
  ["die", { type: ["container"], event: ["die"], label: ["nope"] }, false],
];

for (const [action, filters, matches] of CASES) {
  Deno.test(`filters ${JSON.stringify(filters)} ${matches ? "show" : "hide"} ${action}`, () => {
    assertEquals(matchesEventFilters(message(action), parseFilters(JSON.stringify(filters))), matches);
  });
}
