/**
 * What puts a terminal back to the usual after programs of a session drew in it: whatever they have switched on (the
 * alternate screen, mouse reports, a scroll region, colours …), and wherever in a sequence they were cut off. It is one
 * text for all of that, as a terminal that is in no such mode is left as it is: cursor, screen and all. Only the origin
 * mode cannot be left without the loss of the cursor's place, so it is looked for in the bytes that pass by.
 */

/**
 * In this order: a string's end (a title cut off would swallow the rest). The alternate screen, entered first so that
 * leaving it finds the cursor where it was in any case: some terminals put it back to where it once was saved, even when
 * they show the normal screen. The margins, which move the cursor, between saving and restoring it. Then whatever that
 * restores too.
 */
export const USUAL_MODES = [
  "\x1b\\",
  "\x1b[?1049h\x1b[?1049l",
  "\x1b7\x1b[?69l\x1b[r\x1b8",
  // Colours; the cursor's shape; insert mode, and new lines by a line feed alone; character sets; the keypad.
  "\x1b[m\x1b[0 q\x1b[4l\x1b[20l\x1b(B\x1b)B\x0f\x1b>\x1b[?66l",
  // Cursor keys; reverse video; lines wrap, and not backwards; the cursor is visible; bracketed paste.
  "\x1b[?1l\x1b[?5l\x1b[?7h\x1b[?45l\x1b[?25h\x1b[?2004l",
  // Mouse reports, of five kinds and in four encodings; focus reports.
  "\x1b[?9l\x1b[?1000l\x1b[?1001l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l",
].join("");

/**
 * The same for a terminal that was in origin mode, whose cursor is at the screen's end then. Behind the rest: what
 * restores the cursor restores that mode, too.
 */
export const USUAL_MODES_AND_ORIGIN = `${USUAL_MODES}\x1b[?6l\x1b[999;1H`;

const ESC = 0x1b;
// deno-lint-ignore no-control-regex -- escape sequences are what it is about
const ORIGIN_MODE = /\x1b\[\?(?:\d*;)*0*6(?:;\d*)*h/;
// deno-lint-ignore no-control-regex -- as above
const UNFINISHED = /\x1b(?:\[(?:\?[\d;]*)?)?$/;
/** The longest unfinished sequence that is carried over to the next bytes. */
const MAX_SEQUENCE_LENGTH = 64;

export class TerminalModes {
  #hadOrigin = false;
  #unfinished = "";
  readonly #decoder = new TextDecoder("latin1");

  /** Whether the origin mode was switched on; that it was switched off says nothing, a restored cursor brings it back. */
  get hadOrigin(): boolean {
    return this.#hadOrigin;
  }

  /** What puts the terminal back to the usual. */
  get restoring(): string {
    return this.#hadOrigin ? USUAL_MODES_AND_ORIGIN : USUAL_MODES;
  }

  /** Looks at what is about to be shown. */
  observe(output: Uint8Array): void {
    if (this.#hadOrigin || this.#unfinished === "" && !output.includes(ESC)) return;
    const text = this.#unfinished + this.#decoder.decode(output);
    this.#hadOrigin = ORIGIN_MODE.test(text);
    const unfinished = UNFINISHED.exec(text)?.[0] ?? "";
    this.#unfinished = unfinished.length <= MAX_SEQUENCE_LENGTH ? unfinished : "";
  }
}
