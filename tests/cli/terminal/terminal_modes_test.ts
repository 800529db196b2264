import { assertEquals, assertNotEquals } from "@std/assert";
import {
  TerminalModes,
  USUAL_MODES,
  USUAL_MODES_AND_ORIGIN,
} from "../../../src/cli/terminal/terminal_modes.ts";
import { openEmulator } from "../../../src/sessions/screen/emulator.ts";
import { show, terminalState } from "../../support/sessions/terminal_state.ts";

const SIZE = { columns: 20, rows: 6, scrollbackLines: 50 };

/** The modes observed in these outputs. */
function observed(outputs: readonly string[]): TerminalModes {
  const modes = new TerminalModes();
  for (const output of outputs) modes.observe(new TextEncoder().encode(output));
  return modes;
}

/** The state of a terminal after these outputs, without its saved cursor. */
async function stateAfter(...outputs: readonly string[]): Promise<Record<string, unknown>> {
  const terminal = await openEmulator(SIZE);
  for (const output of outputs) show(terminal, output);
  const { saved: _saved, ...state } = terminalState(terminal);
  return state;
}

const PLAIN: Readonly<Record<string, string>> = {
  "nothing": "",
  "a prompt": "$ ls\r\na  b\r\n$ ",
  "a full screen": `${"line\r\n".repeat(9)}$ `,
  "a cursor amid text": "one\r\ntwo\r\nthree\x1b[2;2H",
  "a full-screen program that has ended": "$ vi\r\n\x1b[?1049h\x1b[H~\r\n~\x1b[?1049l$ ",
};

for (const [what, output] of Object.entries(PLAIN)) {
  Deno.test(`USUAL_MODES does not change a terminal after ${what}`, async () => {
    assertEquals(await stateAfter(output, USUAL_MODES), await stateAfter(output));
  });
}

/** Each of these keeps the position of the cursor. */
const SWITCHED: Readonly<Record<string, string>> = {
  "colours": "\x1b[31;4m",
  "a scroll region": "\x1b7\x1b[2;4r\x1b8",
  "insert mode": "\x1b[4h",
  "a cursor's shape": "\x1b[5 q",
  "line drawing": "\x1b(0",
  "line drawing in the other set": "\x1b)0\x0e",
  "reverse wrap-around, and no wrap-around": "\x1b[?45h\x1b[?7l",
  "application keys": "\x1b[?1h\x1b=",
  "a hidden cursor": "\x1b[?25l",
  "mouse reports": "\x1b[?1003h\x1b[?1006h",
  "focus reports and bracketed paste": "\x1b[?1004h\x1b[?2004h",
  "the alternate screen": "\x1b[?1049h\x1b[2J\x1b[Hdrawn",
  "the alternate screen and a saved cursor": "\x1b[?1049h\x1b[2J\x1b[5;5H\x1b7drawn",
  "a title cut off": "\x1b]2;tit",
  "a sequence cut off": "\x1b[?10",
};

for (const [what, output] of Object.entries(SWITCHED)) {
  Deno.test(`USUAL_MODES resets a terminal after ${what}`, async () => {
    const before = "$ one\r\n$ two";
    const next = "next\x1b[1;1H\n\x1b[3;19Hwrap";
    assertNotEquals(await stateAfter(before, output, next), await stateAfter(before, next));
    assertEquals(await stateAfter(before, output, USUAL_MODES, next), await stateAfter(before, next));
  });
}

Deno.test("USUAL_MODES_AND_ORIGIN moves the cursor of a terminal in origin mode to the end of the screen", async () => {
  const before = "$ one\r\n$ two";
  const expected = await stateAfter(before, "\x1b[6;1H");
  for (const output of ["\x1b[2;4r\x1b[?6h\x1b[31m", "\x1b[?6h\x1b7\x1b[?1049h\x1b[2;4r\x1b[?6h"]) {
    assertEquals(await stateAfter(before, output, USUAL_MODES_AND_ORIGIN), expected);
  }
});

const ORIGINS: readonly (readonly [string, readonly string[], boolean])[] = [
  ["plain text", ["plain \x1b[31mred\x1b[m 漢字"], false],
  ["other modes", ["\x1b[?16h\x1b[?66h\x1b[?1;1006h\x1b[6h"], false],
  ["origin mode", ["\x1b[?6h"], true],
  ["origin mode among others", ["\x1b[?7;6;25h"], true],
  ["origin mode, cut into bytes", ["\x1b", "[", "?", "6", "h"], true],
  ["origin mode, switched off again", ["\x1b[?6h", "\x1b[?6l"], true],
];

for (const [what, outputs, expected] of ORIGINS) {
  Deno.test(`TerminalModes detects origin mode in ${what}`, () => {
    const modes = observed(outputs);
    assertEquals(modes.hadOrigin, expected);
    assertEquals(modes.restoring, expected ? USUAL_MODES_AND_ORIGIN : USUAL_MODES);
  });
}
