import { assertEquals, assertThrows } from "@std/assert";
import { parseRestoreMode, type RestoreMode } from "../../src/protocol/session_operations.ts";

const MODES: readonly (readonly [string, RestoreMode])[] = [
  ["screen", { kind: "screen" }],
  ["none", { kind: "none" }],
  ["lines=1", { kind: "lines", lines: 1 }],
  ["lines=200", { kind: "lines", lines: 200 }],
];

for (const [text, mode] of MODES) {
  Deno.test(`parseRestoreMode() reads ${text}`, () => assertEquals(parseRestoreMode(text), mode));
}

for (
  const text of ["", "Screen", "lines", "lines=", "lines=0", "lines=-1", "lines=1.5", "lines=99999999", "all"]
) {
  Deno.test(`parseRestoreMode() refuses ${JSON.stringify(text)} and lists the valid modes`, () => {
    assertThrows(() => parseRestoreMode(text), RangeError, "use screen, lines=N (N from 1) or none");
  });
}
