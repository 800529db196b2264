import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  type ByteSource,
  decodeLine,
  encodeLine,
  LineTooLongError,
  readLine,
} from "../../src/protocol/jsonl.ts";
import { byteArrays, cutInto, pieceLengths, sourceOf } from "../support/byte_pieces.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function sourceOfTexts(...texts: string[]): ByteSource {
  return sourceOf(texts.map((text) => encoder.encode(text)));
}

const readings: [name: string, chunks: string[], line: string, rest: string][] = [
  ["a line in one chunk", ["abc\n"], "abc", ""],
  ["a line in many chunks", ["a", "b", "c", "\n"], "abc", ""],
  ["an empty line", ["\n"], "", ""],
  ["a line and what follows it", ["abc\nrest\nmore"], "abc", "rest\nmore"],
  ["a line that ends in the second chunk", ["ab", "c\nrest"], "abc", "rest"],
  ["a line longer than the first read", [`${"x".repeat(10_000)}\nr`], "x".repeat(10_000), "r"],
];

for (const [name, chunks, line, rest] of readings) {
  Deno.test(`readLine() returns ${name}`, async () => {
    const framed = await readLine(sourceOfTexts(...chunks), { maxBytes: 64 * 1024 });
    assert(framed !== null);
    assertEquals([decoder.decode(framed.line), decoder.decode(framed.rest)], [line, rest]);
  });
}

Deno.test("readLine() returns the line and the bytes read with it, however the bytes are cut", async () => {
  await fc.assert(fc.asyncProperty(byteArrays(300), pieceLengths(), async (bytes, lengths) => {
    const end = bytes.indexOf(0x0a);
    const pieces = cutInto(bytes, lengths);
    const framed = await readLine(sourceOf(pieces), { maxBytes: 1_000 });
    assertEquals(framed?.line, end < 0 ? undefined : bytes.subarray(0, end));
    if (framed !== null) assertEquals(framed.rest, bytes.subarray(end + 1, end + 1 + framed.rest.length));
  }));
});

Deno.test("readLine() returns the bytes after the line undecoded", async () => {
  const binary = new Uint8Array([0x7b, 0x7d, 0x0a, 0x00, 0xff, 0xfe, 0x0a]);
  const framed = await readLine(sourceOf([binary]), { maxBytes: 100 });
  assertEquals(framed?.rest, binary.subarray(3));
});

Deno.test("readLine() returns null if the source ends before the line", async () => {
  assertEquals(await readLine(sourceOf([]), { maxBytes: 10 }), null);
  assertEquals(await readLine(sourceOfTexts("half"), { maxBytes: 10 }), null);
});

Deno.test("readLine() accepts a line of exactly its limit and rejects one byte more", async () => {
  const framed = await readLine(sourceOfTexts("123456789\n"), { maxBytes: 10 });
  assertEquals(framed?.line.length, 9);
  await assertRejects(
    () => readLine(sourceOfTexts("1234567890\n"), { maxBytes: 10 }),
    LineTooLongError,
    "10 bytes",
  );
});

Deno.test("readLine() reads no more than its limit of an endless line", async () => {
  let givenBytes = 0;
  const endless: ByteSource = {
    read(buffer) {
      givenBytes += buffer.fill(0x78).length;
      return Promise.resolve(buffer.length);
    },
  };
  await assertRejects(() => readLine(endless, { maxBytes: 64 * 1024 }), LineTooLongError);
  assertEquals(givenBytes, 64 * 1024);
});

Deno.test("decodeLine() reverses encodeLine() for any JSON", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const line = encodeLine(value);
    assertEquals(line.indexOf(0x0a), line.length - 1);
    assertEquals(JSON.stringify(decodeLine(line.subarray(0, -1))), JSON.stringify(value));
  }));
});

Deno.test("decodeLine() reverses encodeLine(), including line ends in strings", () => {
  const value = { text: "ä\n☃", list: [1, null] };
  const line = encodeLine(value);
  assertEquals(line.indexOf(0x0a), line.length - 1);
  assertEquals(decodeLine(line.subarray(0, -1)), value);
});

Deno.test("decodeLine() throws for bytes that are not UTF-8 or not JSON", () => {
  assertThrows(() => decodeLine(new Uint8Array([0x22, 0xff, 0x22])), TypeError);
  assertThrows(() => decodeLine(encoder.encode("{")), SyntaxError);
});
