/** The state of a terminal, as far as a user or a program could notice it, in a form that can be compared. */
/// <reference types="../../../src/sessions/screen/xterm.d.ts" />
import type { ScreenBuffer, Terminal } from "@xterm/headless";
import { sgr, writtenWidth } from "../../../src/sessions/screen/cells.ts";

/** Returns the state without the scrollback. */
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
    // No sequence saves a cursor behind the last column.
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

/** Returns the text of the scrollback and the screen, without empty lines at the end. */
export function keptText(terminal: Terminal): string[] {
  const { normal } = terminal.buffer;
  const lines = Array.from({ length: normal.length }, (_, y) => normal.getLine(y)!.translateToString(true));
  while (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Parses output synchronously. */
export function show(terminal: Terminal, bytes: Uint8Array | string): void {
  terminal._core._inputHandler.parse(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
}

/** Returns one string per line: the text of its cells, with a sequence where the style changes. */
function screenLines(buffer: ScreenBuffer, rows: number): string[] {
  return Array.from({ length: rows }, (_, row) => {
    const line = buffer.getLine(buffer.baseY + row)!;
    let text = "";
    let style = "";
    for (let x = 0; x < line.length; x += Math.max(writtenWidth(line, x), 1)) {
      const cell = line.getCell(x)!;
      const isWritten = writtenWidth(line, x) > 0;
      // A blank cell has only a background.
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
