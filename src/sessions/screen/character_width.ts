/**
 * Character widths for the terminal emulator. `@std/cli/unicode-width` is not used: the npm package `deno-std` 1.4.0 lacks
 * that module's table, and the module remembers every character that it has measured, without a limit.
 */
/// <reference types="./xterm.d.ts" />
import type { WidthProvider } from "@xterm/headless";

/** Combining marks per cell. A cell stores all of its marks, so a stream of marks could otherwise exhaust memory. */
const MAX_MARKS_A_CELL = 32;

/** The first combining mark. Every printable character below it occupies one cell. */
const FIRST_MARK = 0x300;
/** Properties of a character that occupies one cell and does not join the preceding one. */
const ONE_CELL = 1 << 1;

/**
 * Characters that are narrow in the emulator's tables (Unicode 6) but two cells wide in current terminals and C libraries:
 * emoji presentation and East Asian Wide of Unicode 16. First and last code point of each range, in ascending order.
 */
// deno-fmt-ignore
const WIDE_RANGES: readonly number[] = [
  0x231a, 0x231b, 0x23e9, 0x23ec, 0x23f0, 0x23f0, 0x23f3, 0x23f3, 0x25fd, 0x25fe, 0x2614, 0x2615, 0x2630, 0x2637,
  0x2648, 0x2653, 0x267f, 0x267f, 0x268a, 0x268f, 0x2693, 0x2693, 0x26a1, 0x26a1, 0x26aa, 0x26ab, 0x26bd, 0x26be,
  0x26c4, 0x26c5, 0x26ce, 0x26ce, 0x26d4, 0x26d4, 0x26ea, 0x26ea, 0x26f2, 0x26f3, 0x26f5, 0x26f5, 0x26fa, 0x26fa,
  0x26fd, 0x26fd, 0x2705, 0x2705, 0x270a, 0x270b, 0x2728, 0x2728, 0x274c, 0x274c, 0x274e, 0x274e, 0x2753, 0x2755,
  0x2757, 0x2757, 0x2795, 0x2797, 0x27b0, 0x27b0, 0x27bf, 0x27bf, 0x2b1b, 0x2b1c, 0x2b50, 0x2b50, 0x2b55, 0x2b55,
  0x4dc0, 0x4dff, 0x16fe0, 0x16fe4, 0x17000, 0x187f7, 0x18800, 0x18cd5, 0x18d00, 0x18d08, 0x1aff0, 0x1affe,
  0x1b000, 0x1b122, 0x1b132, 0x1b132, 0x1b150, 0x1b152, 0x1b155, 0x1b155, 0x1b164, 0x1b167, 0x1b170, 0x1b2fb,
  0x1d300, 0x1d356, 0x1d360, 0x1d376, 0x1f004, 0x1f004, 0x1f0cf, 0x1f0cf, 0x1f18e, 0x1f18e, 0x1f191, 0x1f19a,
  0x1f200, 0x1f202, 0x1f210, 0x1f23b, 0x1f240, 0x1f248, 0x1f250, 0x1f251, 0x1f260, 0x1f265, 0x1f300, 0x1f320,
  0x1f32d, 0x1f335, 0x1f337, 0x1f37c, 0x1f37e, 0x1f393, 0x1f3a0, 0x1f3ca, 0x1f3cf, 0x1f3d3, 0x1f3e0, 0x1f3f0,
  0x1f3f4, 0x1f3f4, 0x1f3f8, 0x1f43e, 0x1f440, 0x1f440, 0x1f442, 0x1f4fc, 0x1f4ff, 0x1f53d, 0x1f54b, 0x1f54e,
  0x1f550, 0x1f567, 0x1f57a, 0x1f57a, 0x1f595, 0x1f596, 0x1f5a4, 0x1f5a4, 0x1f5fb, 0x1f64f, 0x1f680, 0x1f6c5,
  0x1f6cc, 0x1f6cc, 0x1f6d0, 0x1f6d2, 0x1f6d5, 0x1f6d7, 0x1f6dc, 0x1f6df, 0x1f6eb, 0x1f6ec, 0x1f6f4, 0x1f6fc,
  0x1f7e0, 0x1f7eb, 0x1f7f0, 0x1f7f0, 0x1f90c, 0x1f93a, 0x1f93c, 0x1f945, 0x1f947, 0x1f9ff, 0x1fa70, 0x1fa7c,
  0x1fa80, 0x1fa89, 0x1fa8f, 0x1fac6, 0x1face, 0x1fadc, 0x1fadf, 0x1fae9, 0x1faf0, 0x1faf8,
];

/**
 * Returns character widths that agree with current terminals: the emulator's tables, extended by newer wide characters. If
 * they disagreed with the client's terminal, a repaint would misplace the text after such a character.
 * @param tables the emulator's built-in tables
 */
export function characterWidths(tables: WidthProvider): WidthProvider {
  const wcwidth = (codePoint: number) => isWide(codePoint) ? 2 : tables.wcwidth(codePoint);
  return {
    version: "apex",
    wcwidth,
    charProperties(codePoint, preceding) {
      if (codePoint < FIRST_MARK) return ONE_CELL;
      const width = wcwidth(codePoint);
      const base = (preceding >> 1) & 3;
      const marks = preceding >> 3;
      if (width > 0 || base === 0 || marks === MAX_MARKS_A_CELL) return width << 1;
      return (marks + 1) << 3 | base << 1 | 1;
    },
  };
}

function isWide(codePoint: number): boolean {
  if (codePoint < WIDE_RANGES[0]!) return false;
  // Binary search for the first range that starts after the code point. Only the range before it can contain it.
  let low = 0;
  let high = WIDE_RANGES.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (WIDE_RANGES[middle * 2]! <= codePoint) low = middle + 1;
    else high = middle;
  }
  return codePoint <= WIDE_RANGES[low * 2 - 1]!;
}
