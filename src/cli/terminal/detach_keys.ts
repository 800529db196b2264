/** The key sequence that detaches from a session, `Ctrl-Space Ctrl-q` by default. */
import { ApexError } from "../../platform/apex_error.ts";

export const DEFAULT_DETACH_KEYS = "Ctrl-Space Ctrl-q";

/** A longer sequence would be a nuisance to press. */
const MAX_KEYS = 8;

/**
 * The bytes that a terminal sends for a sequence of keys. A key is `Ctrl-` with a letter or one of `@ [ \ ] ^ _ Space`, or
 * a single character.
 *
 * @throws {ApexError} `usage`, naming the invalid key
 */
export function parseDetachKeys(text: string): Uint8Array {
  const keys = text.split(/\s+/).filter((key) => key !== "");
  if (keys.length === 0 || keys.length > MAX_KEYS) {
    throw new ApexError(
      "usage",
      `invalid detach keys ${JSON.stringify(text)} (expected: 1 to ${MAX_KEYS} keys, separated by spaces, ` +
        `such as ${JSON.stringify(DEFAULT_DETACH_KEYS)})`,
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
      `invalid detach key ${
        JSON.stringify(key)
      } (try: Ctrl-a … Ctrl-z, Ctrl-Space, Ctrl-], or one character)`,
    );
  }
  // With Ctrl, a terminal sends the lowest five bits of a letter; for Ctrl-Space it sends the same as for Ctrl-@.
  return name.toLowerCase() === "space" ? 0 : name.toUpperCase().charCodeAt(0) & 0x1f;
}

/** Finds the detach keys in typed input. Holds back the start of the sequence until the next key decides. */
export class DetachScanner {
  readonly #keys: Uint8Array;
  /** The pressed part of the sequence, held back. */
  readonly #held: number[] = [];

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /** @returns the bytes to send to the session, and whether the keys were pressed; the bytes after them are discarded */
  scan(input: Uint8Array): { readonly forward: Uint8Array; readonly detached: boolean } {
    const forward: number[] = [];
    for (const byte of input) {
      this.#held.push(byte);
      // On a mismatch the first held byte is forwarded, and the rest is matched again from the start.
      while (this.#held.some((held, index) => held !== this.#keys[index])) forward.push(this.#held.shift()!);
      if (this.#held.length === this.#keys.length) {
        this.#held.length = 0;
        return { forward: Uint8Array.from(forward), detached: true };
      }
    }
    return { forward: Uint8Array.from(forward), detached: false };
  }
}
