import { stripAnsiCode } from "@std/fmt/colors";

/**
 * Rows as lines, the first row being the headings; each column as wide as its widest cell, two spaces between.
 * Cells may be coloured, and hold letters of double width.
 */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => widths[column] = Math.max(widths[column] ?? 0, visibleWidth(cell)));
  }
  return rows.map((row) =>
    row.map((cell, column) => cell + " ".repeat((widths[column] ?? 0) - visibleWidth(cell))).join("  ")
      .trimEnd()
  );
}

/** Control characters made visible: names and labels come from outside, and a terminal obeys what it is sent. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** Columns on a terminal: East Asian letters and emoji take two, marks that join the letter before them none. */
function visibleWidth(cell: string): number {
  let width = 0;
  for (const char of stripAnsiCode(cell)) {
    width += ZERO_WIDTH.test(char) ? 0 : DOUBLE_WIDTH.test(char) ? 2 : 1;
  }
  return width;
}

const ZERO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;
const DOUBLE_WIDTH =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60]/u;
