/**
 * The terminal emulator, made fit for output that nobody has checked: a program in a container may say anything, and the
 * emulator runs in the daemon. Imported lazily: who attaches to nothing does not load it.
 */
/// <reference types="./xterm.d.ts" />
import type { Terminal } from "@xterm/headless";
import { characterWidths } from "./character_width.ts";
import { terminalSize } from "./terminal_size.ts";

export interface EmulatorOptions {
  readonly columns: number;
  readonly rows: number;
  readonly scrollbackLines: number;
}

/** A hundred thousand lines of 200 columns are 240 MB. */
const MAX_SCROLLBACK_LINES = 100_000;
const OSC_HYPERLINK = 8;

/**
 * Sequences that do something as often as they say, one by one (the first parameter, up to 2³¹): insert and delete
 * characters, lines and columns, scroll, tabulate, repeat a character.
 */
const COUNTED_SEQUENCES = [
  ..."@LMPSTXZIb".split("").map((final) => ({ final })),
  { intermediates: " ", final: "@" },
  { intermediates: " ", final: "A" },
  { intermediates: "'", final: "}" },
  { intermediates: "'", final: "~" },
];

/** An empty terminal. Its size is held to what a terminal can have. */
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
  // Each link would be kept as long as its line, also when its text has been overwritten; none is repainted.
  terminal.parser.registerOscHandler(OSC_HYPERLINK, () => true);
  limitCounts(terminal);
  avoidEraseFault(terminal);
  saveOrigin(terminal);
  printPlainTextFast(terminal);
  return terminal;
}

/** More often than there are cells in a line, or lines, changes nothing any more; a repeated character may fill both. */
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
 * Erasing up to the cursor in the very last cell makes the emulator throw, as it looks for a line below the last one. It is
 * the same as erasing everything.
 */
function avoidEraseFault(terminal: Terminal): void {
  terminal._core.registerCsiHandler({ final: "J" }, ({ params }) => {
    const { cursorX, cursorY } = terminal.buffer.active;
    if (params[0] === 1 && cursorY === terminal.rows - 1 && cursorX >= terminal.cols - 1) params[0] = 2;
    return false;
  });
}

/** A saved cursor has its origin mode, which the emulator leaves out. */
function saveOrigin({ _core: core }: Terminal): void {
  const { _inputHandler: handler, coreService } = core;
  const save = handler.saveCursor.bind(handler);
  const restore = handler.restoreCursor.bind(handler);
  handler.saveCursor = () => {
    core.buffer.savedOrigin = coreService.decPrivateModes.origin;
    return save();
  };
  // Before the cursor is put there: the mode keeps it within the margins.
  handler.restoreCursor = () => {
    coreService.decPrivateModes.origin = core.buffer.savedOrigin ?? false;
    return restore();
  };
}

/// <reference types="./xterm.d.ts" />

/** Of shorter runs there is nothing to be gained. */
const MIN_RUN_LENGTH = 4;
const LAST_PRINTABLE_ASCII = 0x7e;

/**
 * Most of what is said is plain ASCII that fits into its line; for each such character the emulator asks as much as for any
 * other (its width, its charset, whether it joins the one before), and that is half of the time that parsing takes. Here
 * the inside of such a run goes straight to its cells. The run's first and last character still take the usual way: only
 * they touch what was there before, such as half of a wide character.
 */
export function printPlainTextFast(terminal: Terminal): void {
  const { _inputHandler: handler, _charsetService: charsets, coreService } = terminal._core;
  const print = handler.print.bind(handler);
  handler.print = (data, start, end) => {
    if (end - start < MIN_RUN_LENGTH || charsets.charset !== undefined || coreService.modes.insertMode) {
      return print(data, start, end);
    }
    print(data, start, start + 1);
    const buffer = handler._activeBuffer;
    const last = end - 1;
    let at = start + 1;
    // The last cell of a line stays the usual way's, which wraps.
    if (buffer.x + last - at < terminal.cols) {
      const line = buffer.lines.get(buffer.ybase + buffer.y);
      const style = handler._curAttrData;
      for (let code = data[at]!; at < last && code <= LAST_PRINTABLE_ASCII; code = data[++at]!) {
        line.setCellFromCodepoint(buffer.x++, code, 1, style);
      }
      // What follows may join the character before it, which the usual way must know for that.
      if (at < last && at > start + 1) {
        at--;
        buffer.x--;
      }
    }
    print(data, at, end);
  };
}
