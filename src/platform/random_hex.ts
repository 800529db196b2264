import { encodeHex } from "@std/encoding/hex";

/** @param bytes the number of random bytes; each gives two hex digits */
export function randomHex(bytes: number): string {
  return encodeHex(crypto.getRandomValues(new Uint8Array(bytes)));
}
