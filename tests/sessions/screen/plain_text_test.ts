import { assertEquals } from "@std/assert";
import { openEmulator } from "../../../src/sessions/screen/emulator.ts";
import { keptText, show, terminalState } from "../../support/sessions/terminal_state.ts";

const SIZE = { columns: 20, rows: 5, scrollbackLines: 50 };

/** What plain runs may meet: wide characters and marks, wraps, charsets, insert mode, styles, wide cells to write over. */
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

Deno.test("plain text printed fast leaves the emulator as its own way does", async () => {
  const random = seededRandom(4);
  for (let round = 0; round < 300; round++) {
    const fast = await openEmulator(SIZE);
    const usual = await openEmulator(SIZE);
    assertEquals(Reflect.deleteProperty(usual._core._inputHandler, "print"), true);
    let said = "";
    for (let n = 0; n < 40; n++) {
      const piece = PIECES[Math.floor(random() * PIECES.length)]!;
      said += piece;
      show(fast, piece);
      show(usual, piece);
      assertEquals(terminalState(fast), terminalState(usual), JSON.stringify(said));
    }
    assertEquals(keptText(fast), keptText(usual), JSON.stringify(said));
    fast.dispose();
    usual.dispose();
  }
});

/** The same numbers in each run (a linear congruential generator). */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
}
