import { ApexError } from "./apex_error.ts";

/**
 * Parses a size as Docker does: `512m`, `1g`, `1.5G`, `64MiB`, `1024`; each unit is a power of 1024.
 * @returns whole bytes
 * @throws {ApexError} `usage`, naming the text
 */
export function parseByteSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text);
  // "5i" has a binary prefix, but no unit.
  if (match === null || /\di$|\dib$/i.test(text)) throw invalid(text);
  const [, number = "", unit = ""] = match;
  const bytes = Math.floor(Number(number) * 1024 ** UNITS.indexOf(unit.toLowerCase()));
  if (!Number.isSafeInteger(bytes)) throw invalid(text);
  return bytes;
}

/** For display: `512 B`, `3.4 KiB`, `1.0 MiB`. */
export function formatByteSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const kib = bytes / 1024;
  return kib < 1024 ? `${kib.toFixed(1)} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
}

const UNITS = ["", "k", "m", "g", "t", "p"];

function invalid(text: string): ApexError {
  return new ApexError("usage", `invalid size ${JSON.stringify(text)} (try: 512m, 1.5g or 64MiB)`);
}

/** Returns the beginning of a text that takes at most `maxBytes` as UTF-8, cut between two characters. */
export function truncateUtf8(text: string, maxBytes: number): string {
  // Not `encodeInto`: for some texts, Deno 2.4 reports more characters as read than it has written.
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  while (end > 0 && isContinuation(bytes[end]!)) end--;
  return new TextDecoder().decode(bytes.subarray(0, end));
}

/** Whether a byte continues a character. */
function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
