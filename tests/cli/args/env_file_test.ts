import { assertEquals, assertThrows } from "@std/assert";
import { environmentOf } from "../../../src/cli/args/container_flags.ts";
import { readEnvFile } from "../../../src/cli/args/env_file.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { TempDir } from "../../support/temp_dir.ts";

Deno.test("readEnvFile() takes Docker's format", async () => {
  await using dir = await TempDir.make();
  await Deno.writeTextFile(
    dir.join("env"),
    `\ufeffA=1\r\n# comment\n\n  # one more\n  B= x "y" # part of it\nC\nD=\nE=a=b`,
  );
  assertEquals(readEnvFile("env", { cwd: dir.path }), [
    "A=1",
    `B= x "y" # part of it`,
    "C",
    "D=",
    "E=a=b",
  ]);
});

Deno.test("readEnvFile() names file and line of what it does not take", async () => {
  await using dir = await TempDir.make();
  const cases: [content: string | Uint8Array, message: string][] = [
    ["A=1\n=x\n", "env:2: no name stands before ="],
    ["MY VAR=1", 'env:1: the name "MY VAR" has a space'],
    ["export A=1", 'env:1: the name "export A" has a space'],
    [new Uint8Array([0x41, 0x3d, 0xff]), "cannot read env: it is not UTF-8"],
  ];
  for (const [content, message] of cases) {
    await Deno.writeFile(
      dir.join("env"),
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
    const error = assertThrows(
      () => readEnvFile("env", { cwd: dir.path }),
      ApexError,
      `--env-file: ${message}`,
    );
    assertEquals(error.code, "usage");
  }
  assertThrows(
    () => readEnvFile("no-such", { cwd: dir.path }),
    ApexError,
    "--env-file: cannot read no-such: ",
  );
});

Deno.test("environmentOf() takes later files over earlier ones, and -e over files", async () => {
  await using dir = await TempDir.make();
  await Deno.writeTextFile(dir.join("one"), "A=1\nB=1\nC=1\nHERE\nUNSET\n");
  await Deno.writeTextFile(dir.join("two"), "B=2\nC=2\n");
  const context = testContext({
    stdout: new CapturedOutput(),
    cwd: dir.path,
    env: (name) => name === "HERE" ? "here" : undefined,
  });
  assertEquals(environmentOf({ env: ["C=3"], envFile: ["one", dir.join("two")] }, context), {
    A: "1",
    B: "2",
    C: "3",
    HERE: "here",
  });
});
