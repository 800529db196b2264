import { assertEquals } from "@std/assert";
import { closestName } from "../../src/platform/closest_name.ts";

const NAMES = ["events", "run", "history", "status"];

const cases: [word: string, closest: string | undefined][] = [
  ["evnts", "events"],
  ["rnu", "run"],
  ["rm", undefined],
  ["hitsroy", "history"],
  ["state", "status"],
  ["start", undefined],
  ["", undefined],
];

for (const [word, closest] of cases) {
  Deno.test(`closestName() of ${JSON.stringify(word)} is ${closest}`, () => {
    assertEquals(closestName(word, NAMES), closest);
  });
}

Deno.test("closestName() is undefined when there are no names", () =>
  assertEquals(closestName("run", []), undefined));
