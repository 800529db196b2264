/**
 * What a session's programs have switched on in the terminal that shows them (its alternate screen, mouse reports, a
 * hidden cursor …), read off the bytes that pass by, so that whoever leaves can put back what is not the usual.
 */

/** Modes that programs switch, and the state in which a shell expects them (`CSI ? n h` sets, `CSI ? n l` resets). */
const USUALLY_SET: Readonly<Record<number, boolean>> = {
  /** Cursor keys send application sequences. */
  1: false,
  /** Reverse video. */
  5: false,
  /** Lines wrap. */
  7: true,
  /** X10 mouse reports. */
  9: false,
  /** The cursor is visible. */
  25: true,
  /** The keypad sends application sequences. */
  66: false,
  /** Mouse reports, of four kinds and in four encodings; focus reports. */
  1000: false,
  1001: false,
  1002: false,
  1003: false,
  1004: false,
  1005: false,
  1006: false,
  1015: false,
  1016: false,
  /** Alternate screens. */
  47: false,
  1047: false,
  1049: false,
  /** Bracketed paste. */
  2004: false,
};

/** The longest unfinished sequence that is carried over to the next bytes. */
const MAX_SEQUENCE_LENGTH = 64;

const ESC = "\x1b";
// deno-lint-ignore no-control-regex -- escape sequences are what it is about
const SEQUENCES = /\x1b(?:\[\?([\d;]+)([hl])|([=>])|c)/g;
// deno-lint-ignore no-control-regex -- as above
const UNFINISHED = /\x1b(?:\[(?:\?[\d;]*)?)?$/;

export class TerminalModes {
  /** Modes that are not as usual. */
  readonly #changed = new Set<number>();
  #applicationKeypad = false;
  #unfinished = "";
  readonly #decoder = new TextDecoder("latin1");

  /** Looks at what is being shown. */
  observe(output: Uint8Array): void {
    if (this.#unfinished === "" && !output.includes(0x1b)) return;
    const text = this.#unfinished + this.#decoder.decode(output);
    for (const [sequence, numbers, action, keypad] of text.matchAll(SEQUENCES)) {
      if (numbers !== undefined) this.#set(numbers.split(";").map(Number), action === "h");
      else if (keypad !== undefined) this.#applicationKeypad = keypad === "=";
      else if (sequence === `${ESC}c`) this.#reset();
    }
    const unfinished = UNFINISHED.exec(text)?.[0] ?? "";
    this.#unfinished = unfinished.length <= MAX_SEQUENCE_LENGTH ? unfinished : "";
  }

  /** What puts the terminal back to the usual; empty when it is so already. */
  restoring(): Uint8Array {
    const modes = [...this.#changed].map((mode) => `${ESC}[?${mode}${USUALLY_SET[mode] ? "h" : "l"}`);
    const keypad = this.#applicationKeypad ? [`${ESC}>`] : [];
    return new TextEncoder().encode([...modes, ...keypad].join(""));
  }

  #set(modes: readonly number[], isSet: boolean): void {
    for (const mode of modes) {
      const usual = USUALLY_SET[mode];
      if (usual === undefined) continue;
      if (isSet === usual) this.#changed.delete(mode);
      else this.#changed.add(mode);
    }
  }

  #reset(): void {
    this.#changed.clear();
    this.#applicationKeypad = false;
  }
}
