/**
 * Restores a terminal after the programs of a session have drawn in it, whatever modes they have switched on (alternate
 * screen, mouse reports, scroll region, colours …), and even if their output was cut off within an escape sequence. One
 * fixed text does this: it changes nothing on a terminal that is in none of these modes, its cursor and screen included.
 * Only origin mode cannot be left without losing the position of the cursor, so the output is searched for it.
 */

/**
 * The order matters. The string terminator comes first, because an unfinished title would swallow the rest. Then the
 * alternate screen: it is entered before it is left, because some terminals restore the saved cursor even when they show
 * the normal screen. The margins move the cursor, so they are reset between saving and restoring it. Everything that
 * restoring the cursor also restores comes after that.
 */
export const USUAL_MODES = [
  "\x1b\\",
  "\x1b[?1049h\x1b[?1049l",
  "\x1b7\x1b[?69l\x1b[r\x1b8",
  // Colours; the cursor's shape; insert mode and line-feed/new-line mode; character sets; the keypad.
  "\x1b[m\x1b[0 q\x1b[4l\x1b[20l\x1b(B\x1b)B\x0f\x1b>\x1b[?66l",
  // Cursor keys; reverse video; wrap-around on, reverse wrap-around off; the cursor visible; bracketed paste.
  "\x1b[?1l\x1b[?5l\x1b[?7h\x1b[?45l\x1b[?25h\x1b[?2004l",
  // Mouse reports, of five kinds and in four encodings; focus reports.
  "\x1b[?9l\x1b[?1000l\x1b[?1001l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l",
].join("");

/**
 * The same for a terminal that was in origin mode; the cursor moves to the end of the screen. Origin mode is left last,
 * because restoring the cursor restores that mode too.
 */
export const USUAL_MODES_AND_ORIGIN = `${USUAL_MODES}\x1b[?6l\x1b[999;1H`;

const ESC = 0x1b;
// deno-lint-ignore no-control-regex -- it matches escape sequences
const ORIGIN_MODE = /\x1b\[\?(?:\d*;)*0*6(?:;\d*)*h/;
// deno-lint-ignore no-control-regex -- it matches escape sequences
const UNFINISHED = /\x1b(?:\[(?:\?[\d;]*)?)?$/;
/** A longer unfinished sequence is not carried over to the next output. */
const MAX_SEQUENCE_LENGTH = 64;

export class TerminalModes {
  #hadOrigin = false;
  #unfinished = "";
  readonly #decoder = new TextDecoder("latin1");

  /** Whether origin mode was ever switched on. Switching it off does not count: restoring the cursor may bring it back. */
  get hadOrigin(): boolean {
    return this.#hadOrigin;
  }

  /** The text that restores the terminal. */
  get restoring(): string {
    return this.#hadOrigin ? USUAL_MODES_AND_ORIGIN : USUAL_MODES;
  }

  /** Searches output that is about to be shown. */
  observe(output: Uint8Array): void {
    if (this.#hadOrigin || this.#unfinished === "" && !output.includes(ESC)) return;
    const text = this.#unfinished + this.#decoder.decode(output);
    this.#hadOrigin = ORIGIN_MODE.test(text);
    const unfinished = UNFINISHED.exec(text)?.[0] ?? "";
    this.#unfinished = unfinished.length <= MAX_SEQUENCE_LENGTH ? unfinished : "";
  }
}
