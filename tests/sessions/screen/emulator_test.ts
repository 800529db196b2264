import { assertEquals } from "@std/assert";
import { openEmulator } from "../../../src/sessions/screen/emulator.ts";
import { randomOf } from "../../support/random.ts";
import { keptText, show, terminalState } from "../../support/sessions/terminal_state.ts";

const CURSOR_SIZE = { columns: 20, rows: 6, scrollbackLines: 0 };

/** Output; and the origin mode and the cursor's column and row (from 0) after it. */
const CASES: readonly (readonly [string, string, [boolean, number, number]])[] = [
  ["saved with the cursor", "\x1b[2;5r\x1b[?6h\x1b[2;4H\x1b7\x1b[?6l\x1b8", [true, 3, 2]],
  ["off when the cursor was saved", "\x1b[2;5r\x1b[3;3H\x1b7\x1b[?6h\x1b8", [false, 2, 2]],
  ["on, and no cursor saved", "\x1b[2;5r\x1b[?6h\x1b8", [false, 0, 0]],
  ["saved on the other screen", "\x1b[?6h\x1b7\x1b[?6l\x1b[?1049h\x1b8", [false, 0, 0]],
  ["saved before a full reset", "\x1b[?6h\x1b7\x1bc\x1b8", [false, 0, 0]],
  ["saved after a full reset", "\x1bc\x1b[?6h\x1b7\x1b[?6l\x1b8", [true, 0, 0]],
];

for (const [what, output, expected] of CASES) {
  Deno.test(`openEmulator() restores a cursor with the origin mode: ${what}`, async () => {
    const terminal = await openEmulator(CURSOR_SIZE);
    show(terminal, output);
    const { modes, buffer: { active } } = terminal;
    assertEquals([modes.originMode, active.cursorX, active.cursorY], expected);
  });
}

const SIZE = { columns: 20, rows: 5, scrollbackLines: 50 };

/** What runs of plain text may meet: wide characters, marks, wraps, charsets, insert mode, styles, wide cells to overwrite. */
const PIECES = [
  ...[
    "plain text",
    "abc",
    "abcd",
    "0123456789012345678",
    "01234567890123456789",
    "a line that is longer than the screen",
  ],
  ...[
    "日本",
    "日本abc",
    "abcdé\u0301fgh",
    "日abc\u0301def",
    "\u0301abcdef",
    "abcdef👍🏽ghij",
    "ab\x7fcdefg",
    "naïve text",
  ],
  ...["\r", "\n", "\r\n", "\b\b\b", "\t", "\x1b[H", "\x1b[3;7H", "\x1b[19G", "\x1b[20G", "\x1b[3b"],
  ...["\x1b[4h", "\x1b[4l", "\x1b[?7l", "\x1b[?7h", "\x1b(0", "\x1b(B", "\x0e", "\x0f", "\x1b)0"],
  ...["\x1b[1;31m", "\x1b[4:3m", "\x1b[0m", "\x1b[2;4r", "\x1b[r", "\x1b[?1049h", "\x1b[?1049l", "\x1bc"],
];

Deno.test("openEmulator() prints plain text with the same result as the original emulator", async () => {
  const random = randomOf(4);
  for (let round = 0; round < 300; round++) {
    const fast = await openEmulator(SIZE);
    const original = await openEmulator(SIZE);
    assertEquals(Reflect.deleteProperty(original._core._inputHandler, "print"), true);
    let printed = "";
    for (let n = 0; n < 40; n++) {
      const piece = PIECES[Math.floor(random() * PIECES.length)]!;
      printed += piece;
      show(fast, piece);
      show(original, piece);
      assertEquals(terminalState(fast), terminalState(original), JSON.stringify(printed));
    }
    assertEquals(keptText(fast), keptText(original), JSON.stringify(printed));
    fast.dispose();
    original.dispose();
  }
});
