import { assertEquals } from "@std/assert";
import { formatCursor, parseCursor } from "../../src/protocol/event_operations.ts";

Deno.test("parseCursor() reverses formatCursor()", () => {
  for (const seq of [0, 1, Number.MAX_SAFE_INTEGER]) {
    const cursor = { epoch: "0123456789abcdef", seq };
    assertEquals(parseCursor(formatCursor(cursor)), cursor);
  }
});

Deno.test("parseCursor() rejects any other text", () => {
  const wrong = [
    "",
    "12",
    "0123456789abcdef",
    "0123456789abcdef:",
    "0123456789abcdef:-1",
    "0123456789abcdef:1.5",
    "0123456789abcdef:1 ",
    "0123456789ABCDEF:1",
    "0123456789abcde:1",
    "0123456789abcdef0:1",
    "0123456789abcdef:9007199254740993",
    "0123456789abcdef:1\n",
  ];
  for (const text of wrong) assertEquals(parseCursor(text), undefined, JSON.stringify(text));
});
