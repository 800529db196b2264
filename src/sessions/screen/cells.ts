/** The contents of a terminal's cells, as the bytes that write them into another terminal. */
/// <reference types="./xterm.d.ts" />
import type { BufferLine, Cell, ScreenBuffer, Style } from "@xterm/headless";

const DEFAULT_STYLE = "\x1b[0m";

/**
 * Returns the sequence that writes the lines of a buffer, from `firstLine` to the last one. The receiving terminal must have
 * the same size, an empty screen, and its cursor at the top left. Lines that wrapped wrap again, because a terminal copies
 * and reflows wrapped lines as one line.
 * @param options.firstLine counted from the first line of the scrollback
 */
export function cells(
  buffer: ScreenBuffer,
  { firstLine, columns }: { readonly firstLine: number; readonly columns: number },
): string {
  const writer = new CellWriter(buffer, columns);
  for (let y = firstLine; y < buffer.length; y++) writer.writeLine(y);
  return writer.text;
}

class CellWriter {
  text = DEFAULT_STYLE;
  readonly #buffer: ScreenBuffer;
  readonly #columns: number;
  #style = DEFAULT_STYLE;
  /** The terminal has just wrapped into the current line, and may have filled it with the current background. */
  #hasWrapped = false;

  constructor(buffer: ScreenBuffer, columns: number) {
    this.#buffer = buffer;
    this.#columns = columns;
  }

  writeLine(y: number): void {
    const line = this.#buffer.getLine(y);
    // The emulator stores lines in a ring: an index past the last line would return the first one.
    const next = y + 1 < this.#buffer.length ? this.#buffer.getLine(y + 1) : undefined;
    if (line !== undefined) this.#writeCells(line);
    if (next === undefined) return;
    this.#hasWrapped = line !== undefined && wrapsInto(line, { next, columns: this.#columns });
    if (this.#hasWrapped) return;
    this.#use(DEFAULT_STYLE);
    this.text += "\r\n";
  }

  #writeCells(line: BufferLine): void {
    for (let x = 0; x < this.#columns;) {
      const cell = line.getCell(x);
      if (cell === undefined) return;
      const width = writtenWidth(line, x);
      if (width > 0) {
        this.#use(sgr(cell));
        this.text += cell.getChars();
        x += width;
      } else {
        const end = this.#endOfBlank(line, x);
        this.#blank(cell, { cells: end - x, isLast: end === this.#columns });
        x = end;
      }
    }
  }

  /** The column after the run of blank cells that starts at `start` and shares its background. */
  #endOfBlank(line: BufferLine, start: number): number {
    const style = blankStyle(line.getCell(start)!);
    for (let x = start + 1; x < this.#columns; x++) {
      const cell = line.getCell(x);
      if (cell === undefined || writtenWidth(line, x) > 0 || blankStyle(cell) !== style) return x;
    }
    return this.#columns;
  }

  #blank(cell: Cell, { cells, isLast }: { readonly cells: number; readonly isLast: boolean }): void {
    const style = blankStyle(cell);
    if (style !== DEFAULT_STYLE || this.#hasWrapped) {
      this.#use(style);
      this.text += `\x1b[${cells}X`;
    }
    if (!isLast) this.text += `\x1b[${cells}C`;
  }

  #use(style: string): void {
    if (style === this.#style) return;
    this.#style = style;
    this.text += style;
  }
}

/**
 * Returns how many columns the character in this cell occupies, or 0 for a blank cell. Half of a wide character, and a
 * combining mark without a base character, count as blank.
 */
export function writtenWidth(line: BufferLine, x: number): 0 | 1 | 2 {
  const cell = line.getCell(x);
  if (cell === undefined || cell.getChars() === "") return 0;
  if (cell.getWidth() === 2) return line.getCell(x + 1)?.getWidth() === 0 ? 2 : 0;
  return cell.getWidth() === 1 ? 1 : 0;
}

/** The style of an erased cell: its background, and no other attribute. */
function blankStyle(cell: Cell): string {
  return cell.isBgRGB() || cell.isBgPalette() ? sgr(cell, { backgroundOnly: true }) : DEFAULT_STYLE;
}

/** Returns whether a terminal that writes `line` wraps into `next` by itself: text must reach the last column. */
function wrapsInto(
  line: BufferLine,
  { next, columns }: { readonly next: BufferLine; readonly columns: number },
): boolean {
  if (!next.isWrapped) return false;
  const first = next.getCell(0);
  if (first === undefined || first.getChars() === "") return false;
  // A wide character that does not fit leaves the last column empty.
  return isWritten(line, columns - 1) || (first.getWidth() === 2 && isWritten(line, columns - 2));
}

function isWritten(line: BufferLine, x: number): boolean {
  const cell = line.getCell(x);
  return cell !== undefined && (cell.getChars() !== "" || cell.getWidth() === 0);
}

/** Returns the SGR sequence that sets exactly this style, whatever style was set before. */
export function sgr(style: Style, { backgroundOnly = false } = {}): string {
  const codes = [0, ...(backgroundOnly ? [] : foreground(style))];
  if (style.isBgRGB()) codes.push(48, 2, ...rgb(style.getBgColor()));
  else if (style.isBgPalette()) codes.push(...palette(style.getBgColor(), 40));
  return `\x1b[${codes.join(";")}m`;
}

function foreground(style: Style): number[] {
  const codes: number[] = [];
  if (style.isBold()) codes.push(1);
  if (style.isDim()) codes.push(2);
  if (style.isItalic()) codes.push(3);
  if (style.isUnderline()) codes.push(4);
  if (style.isBlink()) codes.push(5);
  if (style.isInverse()) codes.push(7);
  if (style.isInvisible()) codes.push(8);
  if (style.isStrikethrough()) codes.push(9);
  if (style.isOverline()) codes.push(53);
  if (style.isFgRGB()) codes.push(38, 2, ...rgb(style.getFgColor()));
  else if (style.isFgPalette()) codes.push(...palette(style.getFgColor(), 30));
  return codes;
}

function rgb(color: number): number[] {
  return [color >> 16 & 0xff, color >> 8 & 0xff, color & 0xff];
}

/** @param first the code of colour 0: 30 for the foreground, 40 for the background */
function palette(color: number, first: 30 | 40): number[] {
  if (color < 8) return [first + color];
  if (color < 16) return [first + 60 + color - 8];
  return [first + 8, 5, color];
}
