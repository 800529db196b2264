import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { openEmulator } from "../../../src/sessions/screen/emulator.ts";
import { TerminalScreen, type TerminalScreenOptions } from "../../../src/sessions/screen/terminal_screen.ts";
import { keptText, show } from "../../support/sessions/terminal_state.ts";
import { within } from "../../support/within.ts";

const SIZE = { columns: 40, rows: 5, scrollbackLines: 20 };
const SCREEN = { kind: "screen" } as const;

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Returns the lines that a terminal of that size shows after it was sent the bytes. */
async function shown(bytes: Uint8Array, size = SIZE): Promise<string[]> {
  const emulator = await openEmulator(size);
  show(emulator, bytes);
  return keptText(emulator);
}

async function open(options: TerminalScreenOptions): Promise<TerminalScreen> {
  const screen = new TerminalScreen(options);
  await within(20_000, "the emulator", screen.settled());
  return screen;
}

function repainted(screen: TerminalScreen): Promise<Uint8Array> {
  return within(20_000, "the repaint", screen.repaint(SCREEN));
}

Deno.test("settled() resolves when all output is parsed, and repaint() restores it", async () => {
  using screen = await open(SIZE);
  screen.write(bytesOf("hello\r\n"));
  screen.write(bytesOf("world"));
  assertEquals(screen.pendingBytes, 12);
  await within(5_000, "the parser", screen.settled());
  assertEquals(screen.pendingBytes, 0);
  assertEquals(await shown(await repainted(screen)), ["hello", "world"]);
});

Deno.test("write() accepts characters and sequences in pieces", async () => {
  using screen = await open(SIZE);
  for (const byte of bytesOf("\x1b[2;3H世\x1b[1mé")) screen.write(Uint8Array.of(byte));
  assertEquals(await shown(await repainted(screen)), ["", "  世é"]);
});

Deno.test("repaint() restores exactly the output that was written before the call", async () => {
  using screen = await open(SIZE);
  screen.write(bytesOf("before"));
  const repaint = repainted(screen);
  screen.write(bytesOf(" after"));
  const settled = screen.settled();
  assertEquals(await shown(await repaint), ["before"]);
  await within(5_000, "the parser", settled);
  assertEquals(await shown(await repainted(screen)), ["before after"]);
});

Deno.test("settled() resolves although more output is written", async () => {
  using screen = await open(SIZE);
  const flood = bytesOf("y\r\n".repeat(40_000));
  screen.write(bytesOf("first"));
  const settled = screen.settled();
  for (let round = 0; round < 10; round++) screen.write(flood);
  await within(5_000, "the parser", settled);
  assert(screen.pendingBytes > 0, "the rest is parsed later");
});

Deno.test("resize() takes effect between the output before and after the call", async () => {
  using screen = await open({ ...SIZE, columns: 10 });
  screen.write(bytesOf("\x1b[1;10Hx"));
  screen.resize({ columns: 40, rows: 5 });
  assertEquals(screen.size, { columns: 40, rows: 5 });
  screen.write(bytesOf("\x1b[1;40Hy"));
  assertEquals(await shown(await repainted(screen)), [`${" ".repeat(9)}x${" ".repeat(29)}y`]);
});

Deno.test("TerminalScreen clamps sizes to the supported range", async () => {
  using screen = await open({ ...SIZE, columns: 0, rows: 0 });
  assertEquals(screen.size, { columns: 80, rows: 24 });
  screen.resize({ columns: 65_535, rows: 65_535 });
  assertEquals(screen.size, { columns: 1_024, rows: 1_024 });
});

Deno.test("TerminalScreen keeps the configured number of lines", async () => {
  using screen = await open(SIZE);
  screen.write(bytesOf(Array.from({ length: 5_000 }, (_, line) => `line ${line}`).join("\r\n")));
  const bytes = await within(5_000, "the repaint", screen.repaint({ kind: "lines", lines: 1_000 }));
  assertEquals(
    await shown(bytes, { ...SIZE, scrollbackLines: 1_000 }),
    Array.from({ length: 25 }, (_, line) => `line ${line + 4_975}`),
  );
});

Deno.test("repaint() restores the title", async () => {
  using screen = await open(SIZE);
  screen.write(bytesOf("\x1b]0;my title\x07"));
  assert(new TextDecoder().decode(await repainted(screen)).endsWith("\x1b]2;my title\x1b\\"));
});

Deno.test("TerminalScreen does not block the event loop while it parses", async () => {
  using screen = await open(SIZE);
  screen.write(bytesOf("some text that is parsed\r\n".repeat(100_000)));
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  await within(20_000, "the parser", screen.settled());
  clearInterval(timer);
  assert(turns >= 10, `${turns} turns`);
});

Deno.test("TerminalScreen survives sequences with huge counts", async () => {
  using screen = await open(SIZE);
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

Deno.test("TerminalScreen clears its screen when a sequence scrolls further than its height", async () => {
  using screen = await open(SIZE);
  screen.write(bytesOf("one\r\ntwo\x1b[999Sx"));
  assertEquals(await shown(await repainted(screen)), ["", "   x"]);
});

Deno.test("TerminalScreen survives random bytes", async () => {
  using screen = await open(SIZE);
  for (let round = 0; round < 20; round++) {
    const bytes = crypto.getRandomValues(new Uint8Array(10_000));
    // Start more sequences than random bytes would.
    for (let at = 0; at < bytes.length; at += 7) bytes.set(at % 2 === 0 ? [0x1b, 0x5b] : [0x1b], at);
    screen.write(bytes.subarray(0, 9_000));
  }
  screen.write(bytesOf("\x18\x1bc still here"));
  assertEquals(await shown(await repainted(screen)), [" still here"]);
});

Deno.test("TerminalScreen erases up to the last cell", async () => {
  using screen = await open({ ...SIZE, scrollbackLines: 100 });
  screen.write(bytesOf("text\x1b[5;40H\x1b[1Jx"));
  assertEquals(await shown(await repainted(screen)), ["", "", "", "", `${" ".repeat(39)}x`]);
});

Deno.test("repaint() rejects after disposal, which also settles pending calls", async () => {
  const screen = await open(SIZE);
  screen.write(bytesOf("text"));
  const [settled, repaint] = [screen.settled(), screen.repaint(SCREEN)];
  screen[Symbol.dispose]();
  screen[Symbol.dispose]();
  await within(1_000, "the pending call", settled);
  await assertRejects(() => repaint, ApexError, "closed");
  screen.write(bytesOf("more"));
  screen.resize({ columns: 10, rows: 10 });
  assertEquals(screen.pendingBytes, 0);
  await within(1_000, "the pending call", screen.settled());
  await assertRejects(() => screen.repaint(SCREEN), ApexError, "closed");
});

Deno.test("restart() replaces the screen, keeps its size, and answers a pending repaint with a note", async () => {
  using screen = await open(SIZE);
  screen.write(bytesOf("old"));
  const pending = repainted(screen);
  screen.resize({ columns: 30, rows: 4 });
  screen.restart(bytesOf("new"));
  screen.write(bytesOf("er"));
  assertStringIncludes(new TextDecoder().decode(await pending), "some output is not shown here");
  assertEquals(await shown(await repainted(screen)), ["newer"]);
  assertEquals(screen.size, { columns: 30, rows: 4 });
});

Deno.test("write() starts over with a note when too much output is not parsed yet", async () => {
  using screen = await open(SIZE);
  screen.write(bytesOf("old"));
  screen.write(new Uint8Array(4 * 1024 * 1024));
  screen.write(bytesOf("new"));
  const lines = await shown(await repainted(screen));
  assertEquals(lines.at(-1), "new");
  assert(lines.join("").includes("some output is not shown"), lines.join("\n"));
});

Deno.test("TerminalScreen takes output and sizes while its emulator is being opened", async () => {
  using screen = new TerminalScreen(SIZE);
  screen.write(bytesOf("early"));
  screen.resize({ columns: 60, rows: 3 });
  screen.write(bytesOf("\x1b[1;60Hx"));
  assertEquals(await shown(await repainted(screen), { ...SIZE, columns: 60 }), [`early${" ".repeat(54)}x`]);
});
