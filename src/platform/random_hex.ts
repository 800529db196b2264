import { encodeHex } from "@std/encoding/hex";

/** @param bytes of randomness; each is two hex digits */
export function randomHex(bytes: number): string {
  return encodeHex(crypto.getRandomValues(new Uint8Array(bytes)));
}
