import { assertEquals, assertThrows } from "@std/assert";
import { messageOf, systemErrorPath, systemReason } from "../../src/platform/apex_error.ts";
import { TempDir } from "../support/temp_dir.ts";

const refusals: [reason: string, refused: (dir: TempDir) => unknown, path: (dir: TempDir) => string][] = [
  ["no such file or directory", (dir) => Deno.readTextFileSync(dir.join("x")), (dir) => dir.join("x")],
  ["it is a directory", (dir) => Deno.readTextFileSync(dir.path), (dir) => dir.path],
  [
    "a part of its path is not a directory",
    (dir) => Deno.lstatSync(dir.join("file/x")),
    (dir) => dir.join("file/x"),
  ],
  [
    "its name is too long",
    (dir) => Deno.mkdirSync(dir.join("x".repeat(300))),
    (dir) => dir.join("x".repeat(300)),
  ],
  [
    "too many symbolic links in its path",
    (dir) => Deno.openSync(dir.join("loop")),
    (dir) => dir.join("loop"),
  ],
  ["it already exists", (dir) => Deno.mkdirSync(dir.join("file")), (dir) => dir.join("file")],
  ["the directory is not empty", (dir) => Deno.removeSync(dir.path), (dir) => dir.path],
];

for (const [reason, refused, path] of refusals) {
  Deno.test(`systemReason() is "${reason}", without the runtime's own text`, async () => {
    await using dir = await TempDir.make();
    await Deno.writeTextFile(dir.join("file"), "");
    await Deno.symlink("loop", dir.join("loop"));
    const error = assertThrows(() => refused(dir), Error);
    assertEquals([systemReason(error), messageOf(error), systemErrorPath(error)], [
      reason,
      reason,
      path(dir),
    ]);
  });
}

Deno.test("systemReason() is undefined for other errors", () => {
  for (
    const error of [new Error("x"), new TypeError("y"), "z", Object.assign(new Error(), { code: "toString" })]
  ) {
    assertEquals(systemReason(error), undefined);
  }
  assertEquals([messageOf(new Error("x")), messageOf("z")], ["x", "z"]);
});
