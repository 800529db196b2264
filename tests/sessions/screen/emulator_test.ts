import { assertEquals } from "@std/assert";
import { openEmulator } from "../../../src/sessions/screen/emulator.ts";
import { show } from "../../support/sessions/terminal_state.ts";

const SIZE = { columns: 20, rows: 6, scrollbackLines: 0 };

/** Output, and whether the origin mode is on after it, with the cursor's column and row from 0. */
const CASES: readonly (readonly [string, string, [boolean, number, number]])[] = [
  ["saved with the cursor", "\x1b[2;5r\x1b[?6h\x1b[2;4H\x1b7\x1b[?6l\x1b8", [true, 3, 2]],
  ["off when the cursor was saved", "\x1b[2;5r\x1b[3;3H\x1b7\x1b[?6h\x1b8", [false, 2, 2]],
  ["on, and no cursor saved", "\x1b[2;5r\x1b[?6h\x1b8", [false, 0, 0]],
  ["saved on the other screen", "\x1b[?6h\x1b7\x1b[?6l\x1b[?1049h\x1b8", [false, 0, 0]],
  ["saved before a full reset", "\x1b[?6h\x1b7\x1bc\x1b8", [false, 0, 0]],
  ["saved after a full reset", "\x1bc\x1b[?6h\x1b7\x1b[?6l\x1b8", [true, 0, 0]],
];

for (const [what, output, expected] of CASES) {
  Deno.test(`openEmulator(): a restored cursor has the origin mode that was ${what}`, async () => {
    const terminal = await openEmulator(SIZE);
    show(terminal, output);
    const { modes, buffer: { active } } = terminal;
    assertEquals([modes.originMode, active.cursorX, active.cursorY], expected);
  });
}
