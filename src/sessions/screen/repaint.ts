/**
 * Repaints: the state of a terminal, as the bytes that bring another terminal of the same size into that state, whatever it
 * showed before. They turn off all modes and clear the screen, write the cells, and then set the margins and modes, which
 * would interfere with writing the cells.
 */
/// <reference types="./xterm.d.ts" />
import type { SavedCursor, ScreenBuffer, Terminal, TerminalModes } from "@xterm/headless";
import type { RestoreMode } from "../../protocol/session_operations.ts";
import { cells, sgr } from "./cells.ts";

/**
 * Leaves the alternate screen, resets every mode that is restored below, and clears the screen. Each mode is reset by its
 * own sequence, because not every terminal supports the soft reset.
 */
const RESET = [
  "\x1b[?1049l\x1b[r\x1b[?6l\x1b[4l\x1b[?7h\x1b[?45l\x1b[?1l\x1b>\x1b(B\x1b)B\x0f\x1b[?25h\x1b[0 q",
  "\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1016l\x1b[?1004l\x1b[?2004l",
  "\x1b[m\x1b[H\x1b[2J",
].join("");

/** Some terminals keep separate margins for each screen. */
const ENTER_ALTERNATE = "\x1b[?1049h\x1b[r\x1b[?6l\x1b[m\x1b[H\x1b[2J";

const MAX_TITLE_LENGTH = 1_024;

type ScreenOrLines = Exclude<RestoreMode, { readonly kind: "none" }>;

export interface RepaintOptions {
  readonly mode: RestoreMode;
  /** The window's title; empty if it has none. */
  readonly title: string;
}

/** Returns the repaint of a terminal as a string; empty for the mode `none`. */
export function repaint(terminal: Terminal, { mode, title }: RepaintOptions): string {
  if (mode.kind === "none") return "";
  return RESET + normalScreen(terminal, mode) + alternateScreen(terminal) + savedCursor(terminal) +
    margins(terminal) + cursor(terminal) + charsets(terminal) + modes(terminal.modes) + mouse(terminal) +
    cursorLook(terminal) + titleSequence(title);
}

function normalScreen({ buffer: { normal }, rows, cols }: Terminal, mode: ScreenOrLines): string {
  if (mode.kind === "screen") return cells(normal, { firstLine: normal.baseY, columns: cols });
  const usedRows = rowsInUse(normal, rows);
  const above = Math.max(mode.lines - usedRows, 0);
  const surplusRows = Math.max(usedRows - mode.lines, 0);
  return cells(normal, { firstLine: Math.max(normal.baseY - above, 0), columns: cols }) +
    (surplusRows > 0 ? `\x1b[m\x1b[${surplusRows};${cols}H\x1b[1J` : "");
}

/** Switching to the alternate screen saves the cursor, so the cursor is first moved to where the program had saved it. */
function alternateScreen({ buffer: { active, normal }, rows, cols, _core: { buffers } }: Terminal): string {
  if (active.type === "normal") return "";
  return savedPlace(buffers.normal, { baseY: normal.baseY, rows }) + ENTER_ALTERNATE +
    cells(active, { firstLine: active.baseY, columns: cols });
}

/** How many rows are in use, down to the cursor or to the last line with text. */
function rowsInUse(buffer: ScreenBuffer, rows: number): number {
  let used = rows;
  while (used > buffer.cursorY + 1 && isBlank(buffer, buffer.baseY + used - 1)) used--;
  return used;
}

function isBlank(buffer: ScreenBuffer, line: number): boolean {
  return (buffer.getLine(line)?.translateToString(true) ?? "") === "";
}

/** Designates line drawing in G0 to G3, and selects the set in use. */
function charsets({ _core: { _charsetService: service } }: Terminal): string {
  const designations = ["(", ")", "*", "+"].map((slot, index) =>
    service._charsets[index]?.["q"] === "─" ? `\x1b${slot}0` : ""
  );
  const shifts = ["", "\x0e", "\x1bn", "\x1bo"];
  return designations.join("") + (shifts[service.glevel] ?? "");
}

function margins({ rows, _core: { buffer } }: Terminal): string {
  const { scrollTop, scrollBottom } = buffer;
  return scrollTop === 0 && scrollBottom === rows - 1 ? "" : `\x1b[${scrollTop + 1};${scrollBottom + 1}r`;
}

function savedCursor({ buffer: { active }, rows, _core: { buffer } }: Terminal): string {
  return `${savedPlace(buffer, { baseY: active.baseY, rows })}\x1b7\x1b[?6l`;
}

/** Moves the cursor to the saved place, with the style and origin mode that were saved. No margins are set yet. */
function savedPlace(
  { savedX, savedY, savedCurAttrData, savedOrigin }: SavedCursor,
  { baseY, rows }: { readonly baseY: number; readonly rows: number },
): string {
  const row = Math.min(Math.max(savedY - baseY, 0), rows - 1);
  return `${sgr(savedCurAttrData)}${savedOrigin ? "\x1b[?6h" : ""}\x1b[${row + 1};${savedX + 1}H`;
}

/**
 * Restores the cursor's place, and the style of the next character. No sequence moves the cursor behind the last column,
 * where the next character wraps: only writing the last cell does.
 */
function cursor({ buffer: { active }, cols, modes, _core }: Terminal): string {
  const origin = modes.originMode ? "\x1b[?6h" : "";
  const row = active.cursorY + 1 - (modes.originMode ? _core.buffer.scrollTop : 0);
  const style = sgr(_core._inputHandler._curAttrData);
  if (active.cursorX < cols) return `${origin}\x1b[${row};${active.cursorX + 1}H${style}`;
  const line = active.getLine(active.baseY + active.cursorY);
  const isWide = line?.getCell(cols - 1)?.getWidth() === 0;
  const column = isWide ? cols - 2 : cols - 1;
  const cell = line?.getCell(column);
  if (cell === undefined) return origin + style;
  return `${origin}\x1b[${row};${column + 1}H${sgr(cell)}${cell.getChars() || " "}${style}`;
}

function modes(on: TerminalModes): string {
  return (on.insertMode ? "\x1b[4h" : "") +
    (on.wraparoundMode ? "" : "\x1b[?7l") +
    (on.reverseWraparoundMode ? "\x1b[?45h" : "") +
    (on.applicationCursorKeysMode ? "\x1b[?1h" : "") +
    (on.applicationKeypadMode ? "\x1b=" : "") +
    (on.sendFocusMode ? "\x1b[?1004h" : "") +
    (on.bracketedPasteMode ? "\x1b[?2004h" : "");
}

function mouse({ modes, _core }: Terminal): string {
  const tracking = {
    none: "",
    x10: "\x1b[?9h",
    vt200: "\x1b[?1000h",
    drag: "\x1b[?1002h",
    any: "\x1b[?1003h",
  };
  const encoding = { DEFAULT: "", SGR: "\x1b[?1006h", SGR_PIXELS: "\x1b[?1016h" };
  return tracking[modes.mouseTrackingMode] + encoding[_core.coreMouseService.activeEncoding];
}

function cursorLook({ _core: { coreService } }: Terminal): string {
  const { cursorStyle, cursorBlink } = coreService.decPrivateModes;
  const steady = { block: 2, underline: 4, bar: 6 };
  const style = cursorStyle === undefined ? "" : `\x1b[${steady[cursorStyle] - (cursorBlink ? 1 : 0)} q`;
  return style + (coreService.isCursorHidden ? "\x1b[?25l" : "");
}

function titleSequence(title: string): string {
  // deno-lint-ignore no-control-regex -- removes control characters from the title
  const text = title.slice(0, MAX_TITLE_LENGTH).replace(/[\x00-\x1f\x7f-\x9f]/g, "");
  return text === "" ? "" : `\x1b]2;${text}\x1b\\`;
}
