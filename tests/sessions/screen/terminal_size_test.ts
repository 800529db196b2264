import { assertEquals } from "@std/assert";
import { terminalSize } from "../../../src/sessions/screen/terminal_size.ts";

const SIZES: readonly (readonly [string, [number, number], [number, number]])[] = [
  ["keeps a usual size", [132, 43], [132, 43]],
  ["takes the default for what is no terminal", [0, 0], [80, 24]],
  ["takes the default for what is no number", [NaN, -3], [80, 24]],
  ["knows nothing narrower than two columns", [1, 1], [2, 1]],
  ["holds a giant to what memory allows", [65_535, Infinity], [1_024, 1_024]],
  ["cuts fractions off", [80.9, 24.2], [80, 24]],
];

for (const [what, [columns, rows], expected] of SIZES) {
  Deno.test(`terminalSize() ${what}`, () => {
    const size = terminalSize({ columns, rows });
    assertEquals([size.columns, size.rows], expected);
  });
}
