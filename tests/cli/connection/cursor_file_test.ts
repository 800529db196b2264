import { assert, assertEquals, assertThrows } from "@std/assert";
import { CursorFile } from "../../../src/cli/connection/cursor_file.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { TempDir } from "../../support/temp_dir.ts";

const epoch = "00000000000000aa";

Deno.test("CursorFile writes the first cursor at once, then at most every 250 ms, and on disposal", async () => {
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

Deno.test("CursorFile.printed() throws the failure of an earlier delayed write", async () => {
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

Deno.test("CursorFile leaves no temporary file when it cannot replace the file", async () => {
  await using dir = await TempDir.make();
  await Deno.mkdir(dir.join("cursor/full"), { recursive: true });
  const file = new CursorFile(dir.join("cursor"), { clock: new FakeClock() });
  assertThrows(() => file.printed({ epoch, seq: 1 }), ApexError, "cannot write the cursor file");
  assertEquals(await namesIn(dir.path), ["cursor"]);
});

Deno.test("CursorFile.read() rejects a file in a missing directory", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("missing/cursor");
  const file = new CursorFile(path, { clock: new FakeClock() });
  const error = assertThrows(() => file.read(), ApexError);
  assertEquals(
    [error.code, error.message],
    ["usage", `--cursor-file ${path}: its directory does not exist`],
  );
});

const otherKinds: [what: string, name: string][] = [
  ["a directory", "directory"],
  ["a FIFO", "fifo"],
  ["a socket", "socket"],
  ["a FIFO", "link"],
];

for (const [what, name] of otherKinds) {
  Deno.test(`CursorFile rejects ${what} (${name}), and does not change it`, async () => {
    await using dir = await TempDir.make();
    const path = dir.join(name);
    await Deno.mkdir(dir.join("directory"));
    using _socket = Deno.listen({ transport: "unix", path: dir.join("socket") });
    await new Deno.Command("mkfifo", { args: [dir.join("fifo")] }).output();
    await Deno.symlink("fifo", dir.join("link"));
    const names = await namesIn(dir.path);
    const file = new CursorFile(path, { clock: new FakeClock() });
    const error = assertThrows(() => file.read(), ApexError);
    assertEquals(
      [error.code, error.message],
      ["usage", `--cursor-file ${path}: it is ${what}, not a regular file`],
    );
    assertThrows(
      () => file.printed({ epoch, seq: 1 }),
      ApexError,
      `cannot write the cursor file ${path}: it is ${what}`,
    );
    assert(!(await Deno.stat(path)).isFile);
    assertEquals(await namesIn(dir.path), names);
  });
}

Deno.test("CursorFile.read() rejects a device", () => {
  // Read only: if this failed, a write would replace the device.
  assertThrows(
    () => new CursorFile("/dev/null", { clock: new FakeClock() }).read(),
    ApexError,
    "is a device,",
  );
});

Deno.test("CursorFile.read() rejects a long file, even if it starts with a cursor", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("cursor");
  const file = new CursorFile(path, { clock: new FakeClock() });
  await Deno.writeTextFile(path, `${epoch}:1${" ".repeat(2_000)}`);
  assertThrows(() => file.read(), ApexError, "does not contain a cursor");
  await Deno.writeTextFile(path, `  ${epoch}:1 \n`);
  assertEquals(file.read(), { epoch, seq: 1 });
});

for (const exists of [true, false]) {
  const which = exists ? "the target of a link" : "the missing target of a link";
  Deno.test(`CursorFile replaces ${which}, and keeps the link`, async () => {
    await using dir = await TempDir.make();
    await Deno.mkdir(dir.join("deep/below"), { recursive: true });
    await Deno.mkdir(dir.join("links"));
    // Through a linked directory, where `..` differs from what the text of the path suggests.
    await Deno.symlink(dir.join("deep/below"), dir.join("links/dir"));
    await Deno.symlink("dir/../real", dir.join("links/second"));
    await Deno.symlink("second", dir.join("links/first"));
    if (exists) await Deno.writeTextFile(dir.join("deep/real"), `${epoch}:1\n`);
    const path = dir.join("links/first");
    const file = new CursorFile(path, { clock: new FakeClock() });
    assertEquals(file.read(), exists ? { epoch, seq: 1 } : undefined);
    file.printed({ epoch, seq: 2 });
    assertEquals(await Deno.readTextFile(dir.join("deep/real")), `${epoch}:2\n`);
    assert((await Deno.lstat(path)).isSymlink);
    assertEquals(await namesIn(dir.join("deep")), ["below", "real"]);
    assertEquals(await namesIn(dir.join("links")), ["dir", "first", "second"]);
  });
}

Deno.test("CursorFile keeps the permissions of a file, even those that the umask removes", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("cursor");
  for (const mode of [0o600, 0o666]) {
    await Deno.writeTextFile(path, "");
    await Deno.chmod(path, mode);
    new CursorFile(path, { clock: new FakeClock() }).printed({ epoch, seq: 1 });
    assertEquals((await Deno.stat(path)).mode! & 0o7777, mode);
  }
});

Deno.test("CursorFile replaces the temporary file of a killed process with the same pid", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("cursor");
  await Deno.writeTextFile(`${path}.${Deno.pid}.tmp`, "half a cur");
  new CursorFile(path, { clock: new FakeClock() }).printed({ epoch, seq: 1 });
  assertEquals(await Deno.readTextFile(path), `${epoch}:1\n`);
  assertEquals(await namesIn(dir.path), ["cursor"]);
});

async function namesIn(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort();
}
