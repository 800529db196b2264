import { ApexError } from "./apex_error.ts";

/**
 * A size as Docker takes it: `512m`, `1g`, `1.5G`, `64MiB`, `1024`; every unit is a power of 1024.
 *
 * @returns whole bytes
 * @throws {ApexError} `usage`, naming the text
 */
export function parseByteSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text);
  // "5i" has no unit to be a binary one of.
  if (match === null || /\di$|\dib$/i.test(text)) throw invalid(text);
  const [, number = "", unit = ""] = match;
  const bytes = Math.floor(Number(number) * 1024 ** UNITS.indexOf(unit.toLowerCase()));
  if (!Number.isSafeInteger(bytes)) throw invalid(text);
  return bytes;
}

/** For people: `512 B`, `3.4 KiB`, `1.0 MiB`. */
export function formatByteSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const kib = bytes / 1024;
  return kib < 1024 ? `${kib.toFixed(1)} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
}

const UNITS = ["", "k", "m", "g", "t", "p"];

function invalid(text: string): ApexError {
  return new ApexError("usage", `invalid size ${JSON.stringify(text)} (try: 512m, 1.5g or 64MiB)`);
}
