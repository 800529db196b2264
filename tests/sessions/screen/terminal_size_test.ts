import { assertEquals } from "@std/assert";
import { terminalSize } from "../../../src/sessions/screen/terminal_size.ts";

const SIZES: readonly (readonly [string, [number, number], [number, number]])[] = [
  ["keeps a usual size", [132, 43], [132, 43]],
  ["returns the default for zero", [0, 0], [80, 24]],
  ["returns the default for NaN and negative numbers", [NaN, -3], [80, 24]],
  ["returns at least two columns", [1, 1], [2, 1]],
  ["returns at most 1024 columns and rows", [65_535, Infinity], [1_024, 1_024]],
  ["cuts off fractions", [80.9, 24.2], [80, 24]],
];

for (const [what, [columns, rows], expected] of SIZES) {
  Deno.test(`terminalSize() ${what}`, () => {
    const size = terminalSize({ columns, rows });
    assertEquals([size.columns, size.rows], expected);
  });
}
