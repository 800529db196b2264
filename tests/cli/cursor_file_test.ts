import { assertEquals, assertThrows } from "@std/assert";
import { CursorFile } from "../../src/cli/cursor_file.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TempDir } from "../support/temp_dir.ts";

const epoch = "00000000000000aa";

Deno.test("CursorFile writes at once, then not for each event, and at the end", async () => {
  await using dir = await TempDir.make();
  const clock = new FakeClock();
  const path = dir.join("cursor");
  const read = () => Deno.readTextFileSync(path);
  using file = new CursorFile(path, { clock });
  assertEquals(file.read(), undefined);
  file.printed({ epoch, seq: 1 });
  assertEquals(read(), `${epoch}:1\n`);
  for (let seq = 2; seq < 10; seq++) file.printed({ epoch, seq });
  assertEquals(read(), `${epoch}:1\n`);
  clock.advance(250);
  assertEquals(read(), `${epoch}:9\n`);
  file.printed({ epoch, seq: 10 });
  file[Symbol.dispose]();
  assertEquals(read(), `${epoch}:10\n`);
  assertEquals(new CursorFile(path, { clock }).read(), { epoch, seq: 10 });
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("CursorFile says why it cannot write, at the latest with the next event", async () => {
  await using dir = await TempDir.make();
  const clock = new FakeClock();
  await Deno.mkdir(dir.join("sub"));
  const file = new CursorFile(dir.join("sub/cursor"), { clock });
  file.printed({ epoch, seq: 1 });
  file.printed({ epoch, seq: 2 });
  await Deno.remove(dir.join("sub"), { recursive: true });
  clock.advance(250);
  assertThrows(() => file.printed({ epoch, seq: 3 }), ApexError, "cannot write the cursor file");
});

Deno.test("CursorFile leaves nothing behind when it cannot take its place", async () => {
  await using dir = await TempDir.make();
  await Deno.mkdir(dir.join("cursor/full"), { recursive: true });
  const file = new CursorFile(dir.join("cursor"), { clock: new FakeClock() });
  assertThrows(() => file.printed({ epoch, seq: 1 }), ApexError, "cannot write the cursor file");
  assertEquals((await Array.fromAsync(Deno.readDir(dir.path))).map(({ name }) => name), ["cursor"]);
});
