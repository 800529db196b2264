import { assertEquals } from "@std/assert";
import { openEmulator } from "../../../src/sessions/screen/emulator.ts";
import { show } from "../../support/sessions/terminal_state.ts";

const WIDTHS: readonly (readonly [string, number])[] = [
  ["a", 1],
  ["é", 1],
  ["e\u0301", 1],
  ["─", 1],
  ["世", 2],
  ["한", 2],
  ["ｗ", 2],
  ["⌚", 2],
  ["⌛", 2],
  ["⭐", 2],
  ["❤", 1],
  ["☀", 1],
  ["😀", 2],
  ["🫠", 2],
  ["🫸", 2],
  ["𝒜", 1],
  ["𠀀", 2],
];

for (const [text, width] of WIDTHS) {
  Deno.test(`characterWidths() gives ${text} (U+${text.codePointAt(0)!.toString(16)}) the width ${width}`, async () => {
    const emulator = await openEmulator({ columns: 20, rows: 2, scrollbackLines: 0 });
    show(emulator, text);
    assertEquals(emulator.buffer.active.cursorX, width);
  });
}

Deno.test("characterWidths() limits the number of marks in a cell", async () => {
  const emulator = await openEmulator({ columns: 20, rows: 2, scrollbackLines: 0 });
  show(emulator, `e${"\u0301".repeat(31)}`);
  assertEquals(emulator.buffer.active.getLine(0)!.getCell(0)!.getChars().length, 32);
  show(emulator, "\u0301".repeat(100_000));
  const { active } = emulator.buffer;
  const lengths = [0, 1].flatMap((row) =>
    Array.from({ length: 20 }, (_, x) => active.getLine(row)!.getCell(x)!.getChars().length)
  );
  assertEquals(Math.max(...lengths) <= 33, true);
});
