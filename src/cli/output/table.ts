import { stripAnsiCode } from "@std/fmt/colors";

/**
 * Formats rows as lines; the first row holds the headings. Each column is as wide as its widest cell, with two spaces
 * between columns. Cells may contain colours and double-width characters.
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

/** Escapes control characters: names and labels come from users and engines, and a terminal would obey them. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** The width on a terminal: East Asian letters and emoji take two columns, combining marks none. */
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
