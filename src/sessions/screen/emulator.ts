/**
 * The terminal emulator, hardened against untrusted output: a program in a container may print anything, and the emulator
 * runs in the daemon. `@xterm/headless` is imported when the first terminal is opened, so a daemon without sessions does
 * not load it.
 */
/// <reference types="./xterm.d.ts" />
import type { Terminal } from "@xterm/headless";
import { characterWidths } from "./character_width.ts";
import { type TerminalSize, terminalSize } from "./terminal_size.ts";

export interface EmulatorOptions extends TerminalSize {
  /** How many lines are kept of those that have scrolled off the screen. */
  readonly scrollbackLines: number;
}

/** 100,000 lines of 200 columns take 240 MB. */
const MAX_SCROLLBACK_LINES = 100_000;
const OSC_HYPERLINK = 8;
/** The fast path does not pay off for shorter runs of plain text. */
const MIN_FAST_RUN_LENGTH = 4;
const LAST_PRINTABLE_ASCII = 0x7e;

/**
 * Sequences that the emulator carries out step by step, as often as their first parameter says (up to 2³¹): insert and
 * delete characters, lines and columns; scroll; tabulate; repeat a character.
 */
const COUNTED_SEQUENCES = [
  ..."@LMPSTXZIb".split("").map((final) => ({ final })),
  { intermediates: " ", final: "@" },
  { intermediates: " ", final: "A" },
  { intermediates: "'", final: "}" },
  { intermediates: "'", final: "~" },
];

/** Opens an empty terminal. Its size and scrollback are clamped to the supported range. */
export async function openEmulator(options: EmulatorOptions): Promise<Terminal> {
  const { Terminal } = await import("@xterm/headless");
  const { columns, rows } = terminalSize(options);
  const terminal = new Terminal({
    cols: columns,
    rows,
    scrollback: Math.min(Math.max(Math.floor(options.scrollbackLines), 0), MAX_SCROLLBACK_LINES),
    allowProposedApi: true,
    logLevel: "off",
  });
  const widths = characterWidths(terminal._core.unicodeService._activeProvider);
  terminal.unicode.register(widths);
  terminal.unicode.activeVersion = widths.version;
  // The emulator would keep each link as long as its line, even if its text is overwritten, and links are not repainted.
  terminal.parser.registerOscHandler(OSC_HYPERLINK, () => true);
  limitCounts(terminal);
  avoidEraseFault(terminal);
  saveOrigin(terminal);
  printPlainTextFast(terminal);
  return terminal;
}

/** Clamps counts to the terminal's size, beyond which they have no further effect. A repeated character may fill it all. */
function limitCounts(terminal: Terminal): void {
  for (const id of COUNTED_SEQUENCES) {
    terminal._core.registerCsiHandler(id, ({ params }) => {
      const { cols, rows } = terminal;
      const most = id.final === "b" ? cols * rows : Math.max(cols, rows);
      if ((params[0] ?? 0) > most) params[0] = most;
      return false;
    });
  }
}

/**
 * Works around a fault: the emulator throws when it erases up to a cursor in the last cell, because it looks for a line below
 * the last one. Erasing up to there erases the whole screen, so the sequence is changed into that.
 */
function avoidEraseFault(terminal: Terminal): void {
  terminal._core.registerCsiHandler({ final: "J" }, ({ params }) => {
    const { cursorX, cursorY } = terminal.buffer.active;
    if (params[0] === 1 && cursorY === terminal.rows - 1 && cursorX >= terminal.cols - 1) params[0] = 2;
    return false;
  });
}

/** Makes saved cursors include the origin mode, which the emulator leaves out. */
function saveOrigin({ _core: core }: Terminal): void {
  const { _inputHandler: handler, coreService } = core;
  const save = handler.saveCursor.bind(handler);
  const restore = handler.restoreCursor.bind(handler);
  handler.saveCursor = () => {
    core.buffer.savedOrigin = coreService.decPrivateModes.origin;
    return save();
  };
  // The mode is set before the cursor moves, because it confines the cursor to the margins.
  handler.restoreCursor = () => {
    coreService.decPrivateModes.origin = core.buffer.savedOrigin ?? false;
    return restore();
  };
}

/**
 * Speeds up plain text. Most output is printable ASCII that fits into its line, but the emulator looks up the width, the
 * charset and the joining of every character, which takes half of the parsing time. Here the inside of an ASCII run is
 * written directly into its cells. The first and the last character of the run still take the usual path, because only they
 * can affect existing cells, such as half of a wide character.
 */
function printPlainTextFast(terminal: Terminal): void {
  const { _inputHandler: handler, _charsetService: charsets, coreService } = terminal._core;
  const print = handler.print.bind(handler);
  handler.print = (data, start, end) => {
    if (end - start < MIN_FAST_RUN_LENGTH || charsets.charset !== undefined || coreService.modes.insertMode) {
      return print(data, start, end);
    }
    print(data, start, start + 1);
    const buffer = handler._activeBuffer;
    const last = end - 1;
    let at = start + 1;
    // The last cell of a line is left to the usual path, which wraps.
    if (buffer.x + last - at < terminal.cols) {
      const line = buffer.lines.get(buffer.ybase + buffer.y);
      const style = handler._curAttrData;
      for (let code = data[at]!; at < last && code <= LAST_PRINTABLE_ASCII; code = data[++at]!) {
        line.setCellFromCodepoint(buffer.x++, code, 1, style);
      }
      // The next character may join the one before it, so the usual path must print both.
      if (at < last && at > start + 1) {
        at--;
        buffer.x--;
      }
    }
    print(data, at, end);
  };
}
