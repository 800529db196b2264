import { assert, assertEquals, assertRejects } from "@std/assert";
import { runDemo } from "../../src/demo/run_demo.ts";
import { APEX_COMMAND } from "../support/daemons/apex_process.ts";
import { TempDir } from "../support/temp_dir.ts";

Deno.test("runDemo() prints each scene's event lines and leaves nothing behind", async () => {
  await using temp = await TempDir.make();
  const lines: string[] = [];
  const words: string[] = [];
  await runDemo({
    selfCommand: APEX_COMMAND,
    parentDir: temp.path,
    abort: new AbortController().signal,
    print: (line) => Promise.resolve(void lines.push(line)),
    explain: (line) => Promise.resolve(void words.push(line)),
  });
  const ends = lines.map((line) => JSON.parse(line)).filter(({ type }) => /died|stopped/.test(type))
    .map(({ type, taskId, exitCode }) => `${type} ${taskId} ${exitCode}`);
  assertEquals(ends, [
    "container.died succeeds 0",
    "container.died fails 3",
    "container.died is-killed 137",
    "container.stopped is-stopped 0",
    "container.died turns-unhealthy 137",
  ]);
  assert(words.some((line) => line.includes(`the health check of "turns-unhealthy" reports: unhealthy`)));
  assertEquals(await Array.fromAsync(Deno.readDir(temp.path)), []);
});

Deno.test("runDemo() cleans up when it is interrupted", async () => {
  await using temp = await TempDir.make();
  const interrupted = new AbortController();
  await assertRejects(
    () =>
      runDemo({
        selfCommand: APEX_COMMAND,
        parentDir: temp.path,
        abort: interrupted.signal,
        print: () => Promise.resolve(interrupted.abort(new Error("enough"))),
        explain: () => Promise.resolve(),
      }),
    Error,
    "enough",
  );
  assertEquals(await Array.fromAsync(Deno.readDir(temp.path)), []);
});
