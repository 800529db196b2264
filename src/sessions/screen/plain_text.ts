/// <reference types="./xterm.d.ts" />
import type { Terminal } from "@xterm/headless";

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
