/** Runs the README's example of embedding as it stands there, on the embedded engine. */
import { assert, assertEquals } from "@std/assert";
import { TestEngine } from "./support/engines/embedded_engine.ts";
import { TempDir } from "./support/temp_dir.ts";

const ROOT = new URL("../", import.meta.url);
const README = await Deno.readTextFile(new URL("README.md", ROOT));

Deno.test("the README's example of embedding tells of a task's whole life", async () => {
  await using engine = await TestEngine.start();
  await using dir = await TempDir.make();
  const [, example] = /^```ts\n([^]*?openOrchestrator[^]*?)^```$/m.exec(README) ?? [];
  assert(example !== undefined, "the README has no example of openOrchestrator");
  const program = dir.join("example.ts");
  await Deno.writeTextFile(program, example.replace('"./src/', `"${ROOT.pathname}src/`));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--check", "--config", `${ROOT.pathname}deno.json`, program],
    env: { DOCKER_HOST: `unix://${engine.socketPath}` },
  }).output();
  const decoder = new TextDecoder();
  assertEquals(decoder.decode(stderr), "");
  assertEquals(decoder.decode(stdout).trim().split("\n"), [
    "task:created build-7",
    "task:started build-7",
    "apex-task-build-7 ended with 3",
    "task:failed build-7",
    "failed exit 3",
  ]);
  assertEquals(code, 0);
});
