import { assert, assertEquals, assertRejects } from "@std/assert";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { openEmulator } from "../../../src/sessions/screen/emulator.ts";
import { TerminalScreen } from "../../../src/sessions/screen/terminal_screen.ts";
import { keptText, show } from "../../support/sessions/terminal_state.ts";
import { within } from "../../support/within.ts";

const SIZE = { columns: 40, rows: 5, scrollbackLines: 20 };
const SCREEN = { kind: "screen" } as const;

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** What a terminal of that size shows that is sent the bytes. */
async function shown(bytes: Uint8Array, size = SIZE): Promise<string[]> {
  const emulator = await openEmulator(size);
  show(emulator, bytes);
  return keptText(emulator);
}

function repainted(screen: TerminalScreen): Promise<Uint8Array> {
  return within(20_000, "the repaint", screen.repaint(SCREEN));
}

Deno.test("TerminalScreen repaints what was written, and says when it is parsed", async () => {
  using screen = await TerminalScreen.open(SIZE);
  screen.write(bytesOf("hello\r\n"));
  screen.write(bytesOf("world"));
  assertEquals(screen.pendingBytes, 12);
  await within(5_000, "the parser", screen.settled());
  assertEquals(screen.pendingBytes, 0);
  assertEquals(await shown(await repainted(screen)), ["hello", "world"]);
});

Deno.test("TerminalScreen joins characters and sequences that come in pieces", async () => {
  using screen = await TerminalScreen.open(SIZE);
  for (const byte of bytesOf("\x1b[2;3H世\x1b[1mé")) screen.write(Uint8Array.of(byte));
  assertEquals(await shown(await repainted(screen)), ["", "  世é"]);
});

Deno.test("TerminalScreen repaints exactly what was written before the call", async () => {
  using screen = await TerminalScreen.open(SIZE);
  screen.write(bytesOf("before"));
  const repaint = repainted(screen);
  screen.write(bytesOf(" after"));
  const settled = screen.settled();
  assertEquals(await shown(await repaint), ["before"]);
  await within(5_000, "the parser", settled);
  assertEquals(await shown(await repainted(screen)), ["before after"]);
});

Deno.test("TerminalScreen settles amid output that does not end", async () => {
  using screen = await TerminalScreen.open(SIZE);
  const flood = bytesOf("y\r\n".repeat(40_000));
  screen.write(bytesOf("first"));
  const settled = screen.settled();
  for (let round = 0; round < 10; round++) screen.write(flood);
  await within(5_000, "the parser", settled);
  assert(screen.pendingBytes > 0, "the rest is parsed later");
});

Deno.test("TerminalScreen changes its size between what was written before and after", async () => {
  using screen = await TerminalScreen.open({ ...SIZE, columns: 10 });
  screen.write(bytesOf("\x1b[1;10Hx"));
  screen.resize(40, 5);
  assertEquals([screen.columns, screen.rows], [40, 5]);
  screen.write(bytesOf("\x1b[1;40Hy"));
  assertEquals(await shown(await repainted(screen)), [`${" ".repeat(9)}x${" ".repeat(29)}y`]);
});

Deno.test("TerminalScreen holds sizes to what a terminal can have", async () => {
  using screen = await TerminalScreen.open({ ...SIZE, columns: 0, rows: 0 });
  assertEquals([screen.columns, screen.rows], [80, 24]);
  screen.resize(65_535, 65_535);
  assertEquals([screen.columns, screen.rows], [1_024, 1_024]);
});

Deno.test("TerminalScreen keeps as many lines as it was told", async () => {
  using screen = await TerminalScreen.open(SIZE);
  screen.write(bytesOf(Array.from({ length: 5_000 }, (_, line) => `line ${line}`).join("\r\n")));
  const bytes = await within(5_000, "the repaint", screen.repaint({ kind: "lines", lines: 1_000 }));
  assertEquals(
    await shown(bytes, { ...SIZE, scrollbackLines: 1_000 }),
    Array.from({ length: 25 }, (_, line) => `line ${line + 4_975}`),
  );
});

Deno.test("TerminalScreen restores the title", async () => {
  using screen = await TerminalScreen.open(SIZE);
  screen.write(bytesOf("\x1b]0;my title\x07"));
  assert(new TextDecoder().decode(await repainted(screen)).endsWith("\x1b]2;my title\x1b\\"));
});

Deno.test("TerminalScreen lets the event loop turn while it parses", async () => {
  using screen = await TerminalScreen.open(SIZE);
  screen.write(bytesOf("some text that is parsed\r\n".repeat(100_000)));
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  await within(20_000, "the parser", screen.settled());
  clearInterval(timer);
  assert(turns >= 10, `${turns} turns`);
});

Deno.test("TerminalScreen survives counts without end", async () => {
  using screen = await TerminalScreen.open(SIZE);
  const finals = [
    "@",
    "L",
    "M",
    "P",
    "S",
    "T",
    "X",
    "Z",
    "I",
    "b",
    " @",
    " A",
    "'}",
    "'~",
    "A",
    "B",
    "C",
    "D",
    "E",
  ];
  for (const final of finals) screen.write(bytesOf(`x\x1b[2147483647${final}`));
  screen.write(bytesOf("\x1b[H\x1b[2Jstill here"));
  assertEquals(await shown(await repainted(screen)), ["still here"]);
});

Deno.test("TerminalScreen scrolls everything away when told to scroll further than it is high", async () => {
  using screen = await TerminalScreen.open(SIZE);
  screen.write(bytesOf("one\r\ntwo\x1b[999Sx"));
  assertEquals(await shown(await repainted(screen)), ["", "   x"]);
});

Deno.test("TerminalScreen survives random bytes", async () => {
  using screen = await TerminalScreen.open(SIZE);
  for (let round = 0; round < 20; round++) {
    const bytes = crypto.getRandomValues(new Uint8Array(10_000));
    // More of what begins a sequence than chance gives.
    for (let at = 0; at < bytes.length; at += 7) bytes.set(at % 2 === 0 ? [0x1b, 0x5b] : [0x1b], at);
    screen.write(bytes.subarray(0, 9_000));
  }
  screen.write(bytesOf("\x18\x1bc still here"));
  assertEquals(await shown(await repainted(screen)), [" still here"]);
});

Deno.test("TerminalScreen erases up to the last cell", async () => {
  using screen = await TerminalScreen.open({ ...SIZE, scrollbackLines: 100 });
  screen.write(bytesOf("text\x1b[5;40H\x1b[1Jx"));
  assertEquals(await shown(await repainted(screen)), ["", "", "", "", `${" ".repeat(39)}x`]);
});

Deno.test("TerminalScreen refuses to repaint once it is disposed, and settles what waits", async () => {
  const screen = await TerminalScreen.open(SIZE);
  screen.write(bytesOf("text"));
  const [settled, repaint] = [screen.settled(), screen.repaint(SCREEN)];
  screen[Symbol.dispose]();
  screen[Symbol.dispose]();
  await within(1_000, "what waits", settled);
  await assertRejects(() => repaint, ApexError, "closed");
  screen.write(bytesOf("more"));
  screen.resize(10, 10);
  assertEquals(screen.pendingBytes, 0);
  await within(1_000, "what waits", screen.settled());
  await assertRejects(() => screen.repaint(SCREEN), ApexError, "closed");
});
