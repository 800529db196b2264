/** The keys by which a client at a terminal lets go of it: they are typed, but the engine takes them for itself. */
import { HttpError } from "../http/http_error.ts";

/** Ctrl-P, Ctrl-Q. */
const DEFAULT_KEYS: readonly number[] = [16, 17];
const AT = "@".charCodeAt(0);

/**
 * Reads the parameter `detachKeys`: `ctrl-x` and single characters between commas; empty for the default.
 * @throws {HttpError} 400 with Docker's words
 */
export function parseDetachKeys(text: string): readonly number[] {
  if (text === "") return DEFAULT_KEYS;
  return text.split(",").map((key) => {
    if (key.length === 1) return key.charCodeAt(0);
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
    if (control === undefined) throw new HttpError(400, `Invalid detach keys (${text}) provided`);
    return control.toUpperCase().charCodeAt(0) - AT;
  });
}

/** Looks for the keys in what is typed. The beginning of a match is held back until it is one, or is none. */
export class DetachKeyFilter {
  readonly #keys: readonly number[];
  #held: number[] = [];

  constructor(keys: readonly number[]) {
    this.#keys = keys;
  }

  /** What is to be typed, and whether the keys came after it. */
  push(bytes: Uint8Array): { typed: Uint8Array; detached: boolean } {
    const typed: number[] = [];
    for (const byte of bytes) {
      this.#held.push(byte);
      while (!this.#held.every((held, index) => held === this.#keys[index])) typed.push(this.#held.shift()!);
      if (this.#held.length === this.#keys.length) return { typed: Uint8Array.from(typed), detached: true };
    }
    return { typed: Uint8Array.from(typed), detached: false };
  }
}
