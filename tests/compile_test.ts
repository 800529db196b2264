/** `deno task compile` produces a binary that starts, or nothing. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { TempDir } from "./support/temp_dir.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url));

async function compile(output: string, runtime: string): Promise<{ code: number; stderr: string }> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "scripts/compile.ts", output],
    cwd: ROOT,
    env: { DENORT_BIN: runtime, NO_COLOR: "1" },
    stdin: "null",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

Deno.test("compile.ts leaves no files behind and keeps the previous binary when it fails", async (t) => {
  await using dir = await TempDir.make();
  await Deno.writeTextFile(dir.join("apex"), "the previous binary", { mode: 0o755 });
  const left = () => [...Deno.readDirSync(dir.path)].map(({ name }) => name);

  await t.step(
    "the embedded runtime is another program, so the binary does not start",
    async () => {
      const { code, stderr } = await compile(dir.join("apex"), "/bin/false");
      assertStringIncludes(stderr, "compile: the binary does not start");
      assertEquals([code, left()], [1, ["apex"]]);
    },
  );
  await t.step("the runtime to embed does not exist", async () => {
    const { code, stderr } = await compile(dir.join("apex"), "/nonexistent/denort");
    assertStringIncludes(stderr, "compile: deno compile failed");
    assertEquals([code, left()], [1, ["apex"]]);
  });
  assertEquals(await Deno.readTextFile(dir.join("apex")), "the previous binary");
});
