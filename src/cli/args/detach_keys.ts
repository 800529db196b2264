/**
 * The keys that leave a session: `Ctrl-Space Ctrl-q`, one after the other. They are looked for in the bytes that a
 * terminal sends; what only begins like them is held back until the next key shows what was meant.
 */
import { ApexError } from "../../platform/apex_error.ts";

export const DEFAULT_DETACH_KEYS = "Ctrl-Space Ctrl-q";

/** More keys than anybody wants to press. */
const MAX_KEYS = 8;

/**
 * The bytes of such keys: `Ctrl-` with a letter or one of `@ [ \ ] ^ _ Space`, or a single character.
 * @throws {ApexError} `usage`, naming what is no key
 */
export function parseDetachKeys(text: string): Uint8Array {
  const keys = text.split(/\s+/).filter((key) => key !== "");
  if (keys.length === 0 || keys.length > MAX_KEYS) {
    throw new ApexError(
      "usage",
      `cannot use ${JSON.stringify(text)} as detach keys: between 1 and ${MAX_KEYS} keys, ` +
        `separated by spaces (as in ${JSON.stringify(DEFAULT_DETACH_KEYS)})`,
    );
  }
  return Uint8Array.from(keys, byteOf);
}

function byteOf(key: string): number {
  if (/^[!-~]$/.test(key)) return key.charCodeAt(0);
  const name = /^ctrl-(space|[a-z@[\\\]^_])$/i.exec(key)?.[1];
  if (name === undefined) {
    throw new ApexError(
      "usage",
      `invalid detach key ${JSON.stringify(key)}: use Ctrl-a … Ctrl-z, Ctrl-Space, Ctrl-] or one character`,
    );
  }
  // A terminal sends the letter with all but its lowest five bits cleared, and for Ctrl-Space what it sends for Ctrl-@.
  return name.toLowerCase() === "space" ? 0 : name.toUpperCase().charCodeAt(0) & 0x1f;
}

/** What became of some input. */
export interface ScannedInput {
  /** To be sent on. */
  readonly forward: Uint8Array;
  /** The keys were pressed; nothing after them is looked at. */
  readonly detached: boolean;
}

/** Finds the detach keys in what is typed. */
export class DetachScanner {
  readonly #keys: Uint8Array;
  /** What was pressed of them so far, and is held back. */
  readonly #held: number[] = [];

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  scan(input: Uint8Array): ScannedInput {
    const forward: number[] = [];
    for (const byte of input) {
      this.#held.push(byte);
      // Not what was meant: the first goes on, and the rest is looked at as if it had just been pressed.
      while (this.#held.some((held, index) => held !== this.#keys[index])) forward.push(this.#held.shift()!);
      if (this.#held.length === this.#keys.length) {
        this.#held.length = 0;
        return { forward: Uint8Array.from(forward), detached: true };
      }
    }
    return { forward: Uint8Array.from(forward), detached: false };
  }
}
