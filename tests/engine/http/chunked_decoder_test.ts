import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ChunkedDecoder } from "../../../src/engine/http/chunked_decoder.ts";
import { byteArrays, cutInto, pieceLengths } from "../../support/byte_pieces.ts";

const encoder = new TextEncoder();

/** Decodes a text that arrives in the given pieces. Returns the data, and whether the body has ended. */
function decode(pieces: Iterable<string>): { text: string; isDone: boolean } {
  const decoder = new ChunkedDecoder();
  let text = "";
  for (const piece of pieces) text += new TextDecoder().decode(decoder.push(encoder.encode(piece)));
  return { text, isDone: decoder.isDone };
}

const BODIES: Record<string, readonly [string, string]> = {
  "no chunk": ["0\r\n\r\n", ""],
  "one chunk": ["5\r\nhello\r\n0\r\n\r\n", "hello"],
  "chunks with line ends in them": ["4\r\na\r\nb\r\n3\r\n\r\n0\r\n0\r\n\r\n", "a\r\nb\r\n0"],
  "sizes in both cases, with zeros before": [
    "00A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
    "0123456789".repeat(2),
  ],
  "an extension": ["2;name=value\r\nok\r\n0 ; last\r\n\r\n", "ok"],
  "a trailer": ["2\r\nok\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", "ok"],
  "bare line feeds": ["2\nok\n0\n\n", "ok"],
};

for (const [what, [coded, text]] of Object.entries(BODIES)) {
  Deno.test(`ChunkedDecoder decodes ${what}, in one piece and byte by byte`, () => {
    assertEquals(decode([coded]), { text, isDone: true });
    assertEquals(decode(coded), { text, isDone: true });
    assertEquals(decode([coded.slice(0, -1)]).isDone, false);
  });
}

Deno.test("ChunkedDecoder decodes any chunks, however the body is cut", () => {
  fc.assert(fc.property(fc.array(byteArrays(300)), pieceLengths(), (chunks, lengths) => {
    const parts = chunks.filter((chunk) => chunk.length > 0).flatMap((chunk) => {
      return [encoder.encode(`${chunk.length.toString(16)}\r\n`), chunk, encoder.encode("\r\n")];
    });
    const coded = new Uint8Array([...parts, encoder.encode("0\r\n\r\n")].flatMap((part) => [...part]));
    const decoder = new ChunkedDecoder();
    const decoded = cutInto(coded, lengths).flatMap((piece) => [...decoder.push(piece)]);
    assertEquals(decoded, chunks.flatMap((chunk) => [...chunk]));
    assertEquals(decoder.isDone, true);
  }));
});

Deno.test("ChunkedDecoder ignores bytes after the end", () => {
  assertEquals(decode(["1\r\na\r\n0\r\n\r\n1\r\nb\r\n", "1\r\nc"]), { text: "a", isDone: true });
});

for (const coded of ["\r\n", "xyz\r\n", "1z\r\na", "123456789\r\n", "1\r\nab\r\n", "-1\r\n"]) {
  Deno.test(`ChunkedDecoder refuses ${JSON.stringify(coded)}`, () => {
    assertThrows(() => decode([coded]), SyntaxError);
  });
}
