import { assertEquals } from "@std/assert";
import { LineSplitter } from "../../../src/embedded_engine/processes/log_record.ts";

const MAX_BYTES = 8;

/** The payloads of `text`, pushed in pieces of `pieceBytes`, and the rest. */
function split(text: string, pieceBytes: number): string[] {
  const splitter = new LineSplitter(MAX_BYTES);
  const bytes = new TextEncoder().encode(text);
  const payloads: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    payloads.push(...splitter.push(bytes.subarray(at, at + pieceBytes)));
  }
  const left = splitter.flush();
  return [...payloads, ...left.length > 0 ? [left] : []].map((payload) => new TextDecoder().decode(payload));
}

const TEXTS: readonly (readonly [string, string, readonly string[]])[] = [
  ["nothing", "", []],
  ["lines", "a\nbb\n", ["a\n", "bb\n"]],
  ["empty lines", "\n\n", ["\n", "\n"]],
  ["a line that never ends", "a\nb", ["a\n", "b"]],
  ["a line of just the limit", "1234567\n8", ["1234567\n", "8"]],
  ["a line above the limit, in pieces", "12345678\n", ["12345678", "\n"]],
  ["a very long line", "1234567890123456789\n", ["12345678", "90123456", "789\n"]],
  ["carriage returns, which are not line ends", "a\r\nb\rc", ["a\r\n", "b\rc"]],
];

for (const [what, text, payloads] of TEXTS) {
  Deno.test(`LineSplitter cuts ${what}, whatever the chunks`, () => {
    for (let pieceBytes = 1; pieceBytes <= text.length + 1; pieceBytes++) {
      assertEquals(split(text, pieceBytes), payloads, `in pieces of ${pieceBytes}`);
    }
  });
}

Deno.test("LineSplitter is empty after flush()", () => {
  const splitter = new LineSplitter(MAX_BYTES);
  splitter.push(new TextEncoder().encode("a"));
  assertEquals(splitter.flush().length, 1);
  assertEquals(splitter.flush().length, 0);
});
