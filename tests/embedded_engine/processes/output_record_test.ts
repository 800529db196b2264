import { assertEquals } from "@std/assert";
import {
  decodeRecords,
  encodeRecord,
  encodeStreamFrame,
  LineSplitter,
  type OutputRecord,
} from "../../../src/embedded_engine/processes/output_record.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

const RECORDS: readonly OutputRecord[] = [
  { stream: "stdout", timeNano: 1_767_225_600_123_456_789n, payload: bytes("hello\n") },
  { stream: "stderr", timeNano: 0n, payload: bytes("") },
  { stream: "stdout", timeNano: 2n ** 63n, payload: Uint8Array.of(0, 255, 10) },
];

Deno.test("decodeRecords() returns what encodeRecord() wrote, wherever the bytes are cut", () => {
  const all = Uint8Array.from(RECORDS.flatMap((record) => [...encodeRecord(record)]));
  for (let cut = 0; cut <= all.length; cut++) {
    const first = decodeRecords(all.subarray(0, cut));
    const second = decodeRecords(Uint8Array.of(...first.rest, ...all.subarray(cut)));
    assertEquals([...first.records, ...second.records], [...RECORDS]);
    assertEquals(second.rest.length, 0);
  }
});

Deno.test("encodeStreamFrame() encodes as Docker does: stream, three zeros, length big-endian, payload", () => {
  assertEquals([...encodeStreamFrame("stdout", bytes("hi"))], [1, 0, 0, 0, 0, 0, 0, 2, 104, 105]);
  assertEquals([...encodeStreamFrame("stderr", new Uint8Array(258)).subarray(0, 8)], [
    2,
    0,
    0,
    0,
    0,
    0,
    1,
    2,
  ]);
});

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
