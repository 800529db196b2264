/** The beginning of a text that takes at most `maxBytes` as UTF-8, cut between two characters. */
export function cutUtf8(text: string, maxBytes: number): string {
  // Not `encodeInto`: Deno 2.4 says of some texts that it has read more than it has written.
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  while (end > 0 && isContinuation(bytes[end]!)) end--;
  return new TextDecoder().decode(bytes.subarray(0, end));
}

/** A byte that begins no character. */
function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
