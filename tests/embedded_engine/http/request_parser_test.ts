import { assertEquals, assertThrows } from "@std/assert";
import { BodyTooLarge, decodeChunkedBody } from "../../../src/embedded_engine/http/request_parser.ts";

const MAX_BYTES = 32;
const encode = (text: string) => new TextEncoder().encode(text);

const WHOLE: readonly (readonly [string, string, string])[] = [
  ["an empty body", "0\r\n\r\n", ""],
  ["chunks", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"],
  ["bare LF after sizes", "3\nabc\r\n0\n\n", "abc"],
  [
    "extensions and hex digits of both cases",
    "0a;x=y\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n",
    "01234567890123456789a",
  ],
  ["trailers, which are left out", "1\r\na\r\n0\r\nX: y\r\nZ: w\r\n\r\n", "a"],
];

for (const [what, text, body] of WHOLE) {
  Deno.test(`decodeChunkedBody() reads ${what}, once it is all here`, () => {
    const bytes = encode(text);
    for (let cut = 0; cut < bytes.length; cut++) {
      assertEquals(decodeChunkedBody(bytes.subarray(0, cut), MAX_BYTES), undefined, `${cut} bytes`);
    }
    const decoded = decodeChunkedBody(encode(`${text}GET /next`), MAX_BYTES);
    assertEquals(new TextDecoder().decode(decoded?.body), body);
    assertEquals(decoded?.consumedBytes, bytes.length);
  });
}

const MALFORMED = [
  "x\r\n",
  "\r\n",
  "-1\r\n",
  "0x3\r\nabc",
  "3\r\nabcd\r\n",
  "123456789\r\n",
  `1;${"x".repeat(300)}`,
];

for (const text of MALFORMED) {
  Deno.test(`decodeChunkedBody() refuses ${JSON.stringify(text).slice(0, 30)}`, () => {
    assertThrows(() => decodeChunkedBody(encode(text), MAX_BYTES), SyntaxError);
  });
}

Deno.test("decodeChunkedBody() refuses trailers without end", () => {
  assertThrows(
    () => decodeChunkedBody(encode(`0\r\n${"X: y\r\n".repeat(2_000)}`), MAX_BYTES),
    SyntaxError,
    "trailer",
  );
});

Deno.test("decodeChunkedBody() refuses a body above the limit as soon as it is announced", () => {
  assertThrows(() => decodeChunkedBody(encode("21\r\n"), MAX_BYTES), BodyTooLarge);
  assertThrows(
    () => decodeChunkedBody(encode("20\r\n" + "x".repeat(32) + "\r\n1\r\n"), MAX_BYTES),
    BodyTooLarge,
  );
});
