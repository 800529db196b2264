import { assertEquals } from "@std/assert";
import { TerminalModes } from "../../src/cli/terminal_modes.ts";

/** What puts a terminal back to the usual after it was shown these outputs. */
function restoring(outputs: readonly string[]): string {
  const modes = new TerminalModes();
  for (const output of outputs) modes.observe(new TextEncoder().encode(output));
  return new TextDecoder().decode(modes.restoring());
}

const CASES: readonly (readonly [string, readonly string[], string])[] = [
  ["nothing but text", ["plain \x1b[31mred\x1b[m 漢字"], ""],
  ["a full-screen program that is left", ["\x1b[?1049h\x1b[?25l"], "\x1b[?1049l\x1b[?25h"],
  ["a full-screen program that has ended", ["\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"], ""],
  ["several modes in one sequence", ["\x1b[?1000;1006h"], "\x1b[?1000l\x1b[?1006l"],
  ["a sequence cut anywhere", ["\x1b", "[", "?20", "04h"], "\x1b[?2004l"],
  ["an application keypad", ["\x1b="], "\x1b>"],
  ["a full reset", ["\x1b[?1049h\x1b=", "\x1bc"], ""],
  ["modes that nobody need put back", ["\x1b[?12h\x1b[?2026h"], ""],
  ["wrapping switched off", ["\x1b[?7l"], "\x1b[?7h"],
];

for (const [name, outputs, expected] of CASES) {
  Deno.test(`TerminalModes puts back what is not the usual after ${name}`, () => {
    assertEquals(restoring(outputs), expected);
  });
}
