/** A repaint is correct if another terminal that gets it is then in the same state. */
/// <reference types="../../../src/sessions/screen/xterm.d.ts" />
import { assertEquals, assertNotEquals } from "@std/assert";
import type { Terminal } from "@xterm/headless";
import { parseRestoreMode } from "../../../src/protocol/session_operations.ts";
import { openEmulator } from "../../../src/sessions/screen/emulator.ts";
import { repaint } from "../../../src/sessions/screen/repaint.ts";
import { randomOf } from "../../support/random.ts";
import { keptText, show, terminalState } from "../../support/sessions/terminal_state.ts";

const SIZE = { columns: 20, rows: 6, scrollbackLines: 50 };

/** Output that brings the other terminal into an unusual state before it gets the repaint. */
const UNUSUAL_STATE = [
  "\x1b[?1049h\x1b[31;7mold text\x1b[3;4r\x1b[?6h\x1b[4h\x1b[?7l\x1b[?1h\x1b=\x1b(0\x0e\x1b[?25l\x1b[5 q",
  "\x1b[?1003h\x1b[?1006h\x1b[?1004h\x1b[?2004h\x1b[?45h",
].join("");

async function repainted(output: string, mode = "screen"): Promise<{ from: Terminal; to: Terminal }> {
  const from = await openEmulator(SIZE);
  show(from, output);
  const to = await openEmulator(SIZE);
  show(to, UNUSUAL_STATE);
  show(to, repaint(from, { mode: parseRestoreMode(mode), title: "" }));
  return { from, to };
}

const FULL = Array.from({ length: 6 }, (_, row) => `${row}`.repeat(20)).join("");

const OUTPUTS: Record<string, string> = {
  "nothing": "",
  "a prompt": "$ ls\r\na  b\r\n$ ",
  "more lines than rows": Array.from({ length: 30 }, (_, line) => `line ${line}\r\n`).join(""),
  "a full screen, the cursor behind its last column": FULL,
  "a full screen, the cursor elsewhere": `${FULL}\x1b[2;7H`,
  "a full last line, the cursor above": `${FULL}\x1b[A`,
  "a cursor behind the last column above the text": `\x1b[5;1Hbelow\x1b[2;1H${"x".repeat(20)}`,
  "a cursor behind a wide character in the last columns": `${"x".repeat(18)}世`,
  "a cursor far from any text": "top\x1b[6;20H",
  "wrapped lines": "w".repeat(50),
  "a wide character that wraps": `${"x".repeat(19)}世界`,
  "sixteen colours": "\x1b[31;42mred on green\x1b[91;102mbright\x1b[39mhalf\x1b[0mplain",
  "indexed and direct colours": "\x1b[38;5;200;48;5;17mindexed\x1b[38;2;1;2;3;48;2;250;251;252mdirect",
  "every attribute": [1, 2, 3, 4, 5, 7, 8, 9, 53].map((code) => `\x1b[0;${code}m${code}`).join(""),
  "a style for the next character": "text\x1b[1;33;44m",
  "a coloured background without text":
    "\x1b[44m\x1b[2J\x1b[H\x1b[0mx\x1b[41m\x1b[K\r\n\x1b[3;5H\x1b[45m\x1b[4X",
  "a background scrolled in": "\x1b[44mtext\r\n\r\n\r\n\r\n\r\n\r\n\r\nmore",
  "wide characters": "日本語 한국어 ｆｕｌｌ",
  "emoji": "😀🎉🚀 ok ⌚⭐ done",
  "combining marks": "e\u0301 a\u0308 n\u0303o",
  "half a wide character overwritten": "世世世\x1b[1;2Hx",
  "the alternate screen": "$ vi\r\n\x1b[?1049h\x1b[H\x1b[2J~\r\n~\r\n\x1b[6;1H\x1b[7mstatus\x1b[0m\x1b[1;1H",
  "a style in use in the alternate screen": "\x1b[32mgreen\x1b[?1049h\x1b[H\x1b[1;31mred",
  "an empty alternate screen": "shell\x1b[?1049h",
  "the screen behind the alternate one": "one\r\ntwo\x1b[2;2H\x1b[?1049h\x1b[Hfull screen\x1b[?1049l",
  "a hidden cursor": "\x1b[?25l",
  "a cursor's look": "\x1b[5 q",
  "a steady underline cursor": "\x1b[4 q",
  "bracketed paste": "\x1b[?2004h",
  "application cursor keys and keypad": "\x1b[?1h\x1b=",
  "mouse clicks": "\x1b[?1000h\x1b[?1006h",
  "mouse drags in pixels": "\x1b[?1002h\x1b[?1016h",
  "all mouse motion in the old encoding": "\x1b[?1003h",
  "focus events": "\x1b[?1004h",
  "no wrapping": "\x1b[?7lx",
  "insert mode": "abc\x1b[4h\x1b[1;2H",
  "insert mode behind the last column": `${"x".repeat(20)}\x1b[4h`,
  "margins": "1\r\n2\r\n3\x1b[2;4r\x1b[3;3H",
  "margins and their origin": "1\r\n2\r\n3\x1b[2;5r\x1b[?6h\x1b[2;4Hx",
  "origin without margins": "\x1b[?6h\x1b[3;3H",
  "margins with the cursor behind the last column": `\x1b[2;4r\x1b[?6h\x1b[2;1H${"x".repeat(20)}`,
  "a saved cursor": "\x1b[1;35m\x1b[4;9H\x1b7\x1b[0m\x1b[H",
  "a cursor saved with its origin": "\x1b[2;5r\x1b[?6h\x1b[2;4H\x1b7\x1b[?6l\x1b[H",
  "a cursor saved with an origin outside of the margins": "\x1b[?6h\x1b[6;3H\x1b7\x1b[2;4r",
  "an origin behind the alternate screen": "\x1b[?6h\x1b[3;3H\x1b[?1049h\x1b[?6lx",
  "a cursor saved with its origin after a full reset": "\x1bc\x1b[2;5r\x1b[?6h\x1b[2;4H\x1b7\x1b[?6lx",
  "line drawing in use": "\x1b(0lqqk\r\nx",
  "line drawing to shift to": "\x1b)0text",
  "line drawing shifted to": "\x1b)0\x0eqqq",
};

for (const [what, output] of Object.entries(OUTPUTS)) {
  Deno.test(`repaint() restores ${what}`, async () => {
    const { from, to } = await repainted(output);
    assertEquals(terminalState(to), terminalState(from));
  });

  Deno.test(`output after a repaint() has the same effect as on the original terminal after ${what}`, async () => {
    const { from, to } = await repainted(output);
    for (const next of ["世!\r\n\x1b8more\x0fq\x1b[0m", "\x1b[?1049l", "\n\n\n\nlast", "\x1b[1;1Ho"]) {
      show(from, next);
      show(to, next);
      const [was, is] = [terminalState(from), terminalState(to)];
      assertEquals({ screen: is.screen, cursor: is.cursor }, { screen: was.screen, cursor: was.cursor });
    }
  });
}

Deno.test("terminalState() distinguishes all these terminals", async () => {
  const states = new Set<string>();
  for (const output of Object.values(OUTPUTS)) {
    const emulator = await openEmulator(SIZE);
    show(emulator, output);
    states.add(JSON.stringify(terminalState(emulator)));
  }
  assertEquals(states.size, Object.keys(OUTPUTS).length);
});

Deno.test("repaint() omits the scrollback", async () => {
  const { to } = await repainted(OUTPUTS["more lines than rows"]!);
  assertEquals(keptText(to), [25, 26, 27, 28, 29].map((line) => `line ${line}`));
});

Deno.test("repaint() with lines restores that many lines, including the scrollback", async () => {
  const { from, to } = await repainted(OUTPUTS["more lines than rows"]!, "lines=11");
  assertEquals(keptText(to), Array.from({ length: 10 }, (_, line) => `line ${line + 20}`));
  const [was, is] = [terminalState(from), terminalState(to)];
  assertEquals([is.screen, is.cursor], [was.screen, was.cursor]);
});

Deno.test("repaint() with more lines than exist restores all lines", async () => {
  const { to } = await repainted(OUTPUTS["more lines than rows"]!, "lines=1000");
  assertEquals(keptText(to), Array.from({ length: 30 }, (_, line) => `line ${line}`));
});

Deno.test("repaint() with fewer lines than the screen has keeps the last lines in their places", async () => {
  const { from, to } = await repainted("one\r\ntwo\r\nthree\r\n\x1b[35mfour", "lines=2");
  assertEquals(keptText(to), ["", "", "three", "four"]);
  const [was, is] = [terminalState(from), terminalState(to)];
  assertEquals([is.cursor, is.style], [was.cursor, was.style]);
});

Deno.test("repaint() with lines restores the alternate screen, too", async () => {
  const { from, to } = await repainted(`${OUTPUTS["more lines than rows"]}\x1b[?1049h\x1b[Hvi`, "lines=20");
  assertEquals(terminalState(to), terminalState(from));
  assertEquals(keptText(to).length, 19);
});

Deno.test("repaint() returns nothing for the mode none", async () => {
  const emulator = await openEmulator(SIZE);
  show(emulator, "text");
  assertEquals(repaint(emulator, { mode: { kind: "none" }, title: "x" }), "");
});

Deno.test("repaint() restores the title without control characters", async () => {
  const emulator = await openEmulator(SIZE);
  const bytes = repaint(emulator, { mode: { kind: "screen" }, title: "vi\x07\x1b]0;x\x9c notes" });
  assertEquals(bytes.slice(bytes.indexOf("\x1b]")), "\x1b]2;vi]0;x notes\x1b\\");
});

Deno.test("repaint() restores random output", async () => {
  const pieces = [
    ..."abc世😀 \t",
    ...[
      "\r\n",
      "\r",
      "\b",
      "x".repeat(25),
      "\x1b[K",
      "\x1b[1J",
      "\x1b[J",
      "\x1b[L",
      "\x1b[M",
      "\x1b[2P",
      "\x1b[3@",
    ],
    ...[
      "\x1b[S",
      "\x1b[T",
      "\x1b[2;5r",
      "\x1b[r",
      "\x1bM",
      "\x1bD",
      "\x1b[44m",
      "\x1b[1;31m",
      "\x1b[m",
      "\x1b[7m",
    ],
    ...[
      "\x1b[H",
      "\x1b[3;18H",
      "\x1b[6;20H",
      "\x1b7",
      "\x1b8",
      "\x1b[?1049h",
      "\x1b[?1049l",
      "\x1b[?7l",
      "\x1b[?7h",
    ],
  ];
  const random = randomOf(7);
  for (let round = 0; round < 300; round++) {
    const output = Array.from({ length: 40 }, () => pieces[Math.floor(random() * pieces.length)]).join("");
    const { from, to } = await repainted(output);
    const [was, is] = [terminalState(from), terminalState(to)];
    assertEquals(is, was, JSON.stringify(output));
  }
});

Deno.test("repaint() differs for different states", async () => {
  const [one, two] = [await openEmulator(SIZE), await openEmulator(SIZE)];
  show(one, "a");
  show(two, "b");
  const options = { mode: { kind: "screen" }, title: "" } as const;
  assertNotEquals(repaint(one, options), repaint(two, options));
});
