/** Everything about a terminal that a user or a program could notice, in a form that two of them can be compared by. */
/// <reference types="../../../src/sessions/screen/xterm.d.ts" />
import type { ScreenBuffer, Terminal } from "@xterm/headless";
import { sgr, writtenWidth } from "../../../src/sessions/screen/cells.ts";

/** The state, apart from what has scrolled off the screen. */
export function terminalState(terminal: Terminal): Record<string, unknown> {
  const { buffer, modes, rows, _core: core } = terminal;
  const { active } = buffer;
  return {
    size: [terminal.cols, rows],
    buffer: active.type,
    screen: screenLines(active, rows),
    normalScreen: screenLines(buffer.normal, rows),
    cursor: [active.cursorX, active.cursorY],
    style: sgr(core._inputHandler._curAttrData),
    hidden: core.coreService.isCursorHidden,
    look: [core.coreService.decPrivateModes.cursorStyle, core.coreService.decPrivateModes.cursorBlink],
    modes: { ...plain(modes) },
    mouse: core.coreMouseService.activeEncoding,
    margins: [core.buffer.scrollTop, core.buffer.scrollBottom],
    // No sequence saves a place behind the last column.
    saved: [
      Math.min(core.buffer.savedX, terminal.cols - 1),
      Math.max(core.buffer.savedY - active.baseY, 0),
      sgr(core.buffer.savedCurAttrData),
      core.buffer.savedOrigin ?? false,
    ],
    charsets: [0, 1, 2, 3].map((slot) => core._charsetService._charsets[slot]?.["q"] === "─"),
    shift: core._charsetService.glevel,
  };
}

/** The text of all lines that are kept, without the empty ones at the end. */
export function keptText(terminal: Terminal): string[] {
  const { normal } = terminal.buffer;
  const lines = Array.from({ length: normal.length }, (_, y) => normal.getLine(y)!.translateToString(true));
  while (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Feeds bytes to a terminal at once. */
export function show(terminal: Terminal, bytes: Uint8Array | string): void {
  terminal._core._inputHandler.parse(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
}

/** One string a line: each cell's text behind its style, where that changes. */
function screenLines(buffer: ScreenBuffer, rows: number): string[] {
  return Array.from({ length: rows }, (_, row) => {
    const line = buffer.getLine(buffer.baseY + row)!;
    let text = "";
    let style = "";
    for (let x = 0; x < line.length; x += Math.max(writtenWidth(line, x), 1)) {
      const cell = line.getCell(x)!;
      const isWritten = writtenWidth(line, x) > 0;
      // What is not written has a background only.
      const own = sgr(cell, { backgroundOnly: !isWritten });
      if (own !== style) text += style = own;
      text += isWritten ? cell.getChars() : " ";
    }
    return text;
  });
}

function plain(modes: object): Record<string, unknown> {
  const names = Object.getOwnPropertyNames(Object.getOwnPropertyDescriptors(modes));
  return Object.fromEntries(names.map((name) => [name, (modes as Record<string, unknown>)[name]]));
}
