import { assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import { loadInstanceId } from "../../src/storage/instance_file.ts";
import { TempDir } from "../support/temp_dir.ts";

Deno.test("loadInstanceId() creates an id in a private file, and reads it afterwards", async () => {
  await using dir = await TempDir.make();
  const id = await loadInstanceId(dir.join("instance"));
  assertMatch(id, /^[0-9a-f]{16}$/);
  assertEquals(await loadInstanceId(dir.join("instance")), id);
  assertEquals(((await Deno.stat(dir.join("instance"))).mode ?? 0) & 0o777, 0o600);
  assertEquals((await Array.fromAsync(Deno.readDir(dir.path))).map(({ name }) => name), ["instance"]);
  assertNotEquals(await loadInstanceId(dir.join("other")), id);
});

Deno.test("loadInstanceId() starts over when the first creation was interrupted", async () => {
  await using dir = await TempDir.make();
  await Deno.writeTextFile(dir.join("instance.new"), "0123456789abcdef, and more text than the new file has");
  const id = await loadInstanceId(dir.join("instance"));
  assertEquals(await Deno.readTextFile(dir.join("instance")), `${id}\n`);
});

Deno.test("loadInstanceId() refuses a file without an id, and does not change it", async (t) => {
  const damages: Record<string, (path: string) => Promise<void>> = {
    "is empty": (path) => Deno.writeTextFile(path, ""),
    "holds other letters": (path) => Deno.writeTextFile(path, "0123456789ABCDEF\n"),
    "holds two ids": (path) => Deno.writeTextFile(path, "0123456789abcdef\n0123456789abcdef\n"),
    "is large": (path) => Deno.writeTextFile(path, "0123456789abcdef".repeat(1_000)),
    "is a directory": (path) => Deno.mkdir(path),
    "is a symbolic link": async (path) => {
      await Deno.writeTextFile(`${path}-target`, "0123456789abcdef\n");
      await Deno.symlink(`${path}-target`, path);
    },
  };
  for (const [damage, make] of Object.entries(damages)) {
    await t.step(`that ${damage}`, async () => {
      await using dir = await TempDir.make();
      const path = dir.join("instance");
      await make(path);
      const identity = ({ ino, size, mtime }: Deno.FileInfo) => ({ ino, size, mtime });
      const before = identity(await Deno.lstat(path));
      const error = await assertRejects(() => loadInstanceId(path), ApexError, `from ${path}: `);
      assertEquals(error.code, "failed");
      assertEquals(identity(await Deno.lstat(path)), before);
    });
  }
});

Deno.test("loadInstanceId() names the file when it cannot be created", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("none/instance");
  const error = await assertRejects(() => loadInstanceId(path), ApexError, path);
  assertEquals(error.code, "failed");
});
